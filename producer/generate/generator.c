/* generator.c - see generator.h.
 *
 * Sessions begin along the calendar and overlap; a heap of the open ones gives their events in the order of time. A session is
 * walked ahead when it is admitted, to know how many events it will have before `until`: the share of all events that the sessions
 * so far hold is where in the calendar the next one begins. So the events cover the whole span and are exactly as many as asked
 * for, whatever lengths the sessions turn out to have. (With an average length instead, a small run would end days early or late.)
 *
 * The heap is bounded: where more sessions overlap than it holds, the earliest is finished first, and some events come out of
 * order, as they do in life.
 */
#include "producer/generate/generator.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "producer/generate/calendar.h"
#include "producer/generate/random.h"
#include "producer/generate/session.h"

enum { OPEN_MAX = 4096, SPREAD_DAYS = 15, SPARSE_EVENTS = 10 };

struct generator {
    struct generator_plan plan;
    struct calendar *calendar;
    uint32_t users;
    uint64_t made;     /* events given out */
    uint64_t admitted; /* events of the sessions begun so far, made or to come */
    uint64_t sessions; /* begun so far */
    unsigned open;     /* in `heap`, which is ordered by at_us, the earliest first */
    struct session heap[OPEN_MAX];
};

struct generator *generator_new(const struct generator_plan *plan)
{
    struct generator *generator = calloc(1, sizeof *generator);
    if (generator == NULL)
        return NULL;
    generator->plan = *plan;
    generator->users = (uint32_t)fmin(40 + (double)plan->events / 50, 50e6);
    generator->calendar = calendar_new(plan->days, plan->until_us);
    if (generator->calendar == NULL) {
        free(generator);
        return NULL;
    }
    return generator;
}

void generator_free(struct generator *generator)
{
    if (generator == NULL)
        return;
    calendar_free(generator->calendar);
    free(generator);
}

static bool is_before(const struct session *a, const struct session *b)
{
    return a->at_us < b->at_us;
}

static void swap(struct session *a, struct session *b)
{
    struct session copy = *a;
    *a = *b;
    *b = copy;
}

static void sift_down(struct generator *generator, unsigned at)
{
    for (;;) {
        unsigned child = 2 * at + 1;
        if (child >= generator->open)
            return;
        if (child + 1 < generator->open && is_before(&generator->heap[child + 1], &generator->heap[child]))
            child++;
        if (!is_before(&generator->heap[child], &generator->heap[at]))
            return;
        swap(&generator->heap[child], &generator->heap[at]);
        at = child;
    }
}

static void sift_up(struct generator *generator, unsigned at)
{
    while (at > 0 && is_before(&generator->heap[at], &generator->heap[(at - 1) / 2])) {
        swap(&generator->heap[at], &generator->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

/* The events of a session that happen before the end. */
static uint64_t walk_ahead(struct session session, int64_t until_us)
{
    uint64_t events = 0;
    while (session.step != STEP_OVER && session.at_us < until_us) {
        events++;
        session_advance(&session);
    }
    return events;
}

/* A sparse history: the visit moves by up to SPREAD_DAYS either way, so days get as many as chance gives them, where there are few
 * often none. */
static int64_t strew(const struct generator *generator, int64_t start_us)
{
    struct random random = random_stream(generator->plan.seed ^ UINT64_C(0x737061727365), generator->sessions);
    int64_t begin_us = generator->plan.until_us - generator->plan.days * CLOCK_DAY_US;
    start_us += ((int64_t)random_below(&random, 2 * SPREAD_DAYS + 1) - SPREAD_DAYS) * CLOCK_DAY_US;
    if (start_us < begin_us)
        start_us += SPREAD_DAYS * CLOCK_DAY_US;
    return start_us < generator->plan.until_us ? start_us : start_us - SPREAD_DAYS * CLOCK_DAY_US;
}

static int64_t next_start_us(const struct generator *generator)
{
    int64_t start_us = calendar_at(generator->calendar, (double)generator->admitted / (double)generator->plan.events);
    return generator->plan.is_sparse && generator->plan.days > 2 * SPREAD_DAYS ? strew(generator, start_us) : start_us;
}

static void admit(struct generator *generator, int64_t start_us)
{
    struct session *session = &generator->heap[generator->open];
    session_init(session, generator->plan.seed, generator->sessions++, start_us, generator->users);
    if (generator->plan.is_sparse)
        session->events_left = 1 + (unsigned)(generator->sessions % SPARSE_EVENTS);
    generator->admitted += walk_ahead(*session, generator->plan.until_us);
    sift_up(generator, generator->open++);
}

/* Gives out the event of the earliest session. */
static void take(struct generator *generator, struct tally_event *event)
{
    struct session *session = &generator->heap[0];
    session_write(session, event);
    generator->made++;
    session_advance(session);
    if (session->step == STEP_OVER || session->at_us >= generator->plan.until_us)
        *session = generator->heap[--generator->open];
    sift_down(generator, 0);
}

bool generator_next(struct generator *generator, struct tally_event *event)
{
    if (generator->made == generator->plan.events)
        return false;
    while (generator->admitted < generator->plan.events && generator->open < OPEN_MAX) {
        int64_t start_us = next_start_us(generator);
        if (generator->open > 0 && generator->heap[0].at_us <= start_us)
            break;
        admit(generator, start_us);
    }
    take(generator, event);
    return true;
}
