/* shelf.c - known days in order of their date; the budget that their sets share; who is put away, and who is rebuilt next.
 *
 * Invariant: a day's sets hold exactly the events of its day that are folded (once its cycle has committed), or they are not here.
 * So putting a day away loses nothing but time: unless its new figures were not written yet; then it waits for a rebuild in the
 * same breath. A sorted array of pointers: a few hundred days, looked up once per run of rows of the same day.
 *
 * Rejected: strictly newest first among the waiting, which leaves the oldest for ever while an import keeps touching more days than
 * memory holds.
 */
#include "aggregator/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"

static const int64_t PATIENCE_US = 60 * CLOCK_SECOND_US;

static const char *const reason_texts[] = {
    [REBUILD_NOT] = "none",          [REBUILD_TOUCHED] = "touched",
    [REBUILD_EVICTED] = "memory",    [REBUILD_FOREIGN] = "foreign rows",
    [REBUILD_ROWS] = "rows missing", [REBUILD_BACKLOG] = "backlog",
    [REBUILD_CLOSE] = "close",       [REBUILD_ASKED] = "asked",
};

const char *rebuild_reason_text(enum rebuild_reason reason)
{
    return reason_texts[reason];
}

enum rebuild_reason rebuild_reason_parse(const char *text)
{
    for (int reason = REBUILD_TOUCHED; reason < REBUILD_ASKED; reason++)
        if (strcmp(text, reason_texts[reason]) == 0)
            return reason;
    return REBUILD_ASKED;
}

void shelf_init(struct shelf *shelf, const struct identity *identity, size_t max_bytes)
{
    *shelf = (struct shelf){.budget.max_bytes = max_bytes, .identity = identity};
}

void shelf_forget(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++) {
        shelf_unload(shelf->days[i]);
        free(shelf->days[i]);
    }
    free(shelf->days);
    shelf->days = NULL;
    shelf->count = shelf->capacity = 0;
}

/* Where the day stands, or belongs. */
static size_t position_of(const struct shelf *shelf, int32_t number)
{
    size_t low = 0, high = shelf->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shelf->days[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct shelf_day *shelf_find(const struct shelf *shelf, int32_t number)
{
    size_t at = position_of(shelf, number);
    return at < shelf->count && shelf->days[at]->number == number ? shelf->days[at] : NULL;
}

struct shelf_day *shelf_get(struct shelf *shelf, int32_t number, struct error *err)
{
    size_t at = position_of(shelf, number);
    if (at < shelf->count && shelf->days[at]->number == number)
        return shelf->days[at];
    if (shelf->count == shelf->capacity) {
        size_t capacity = shelf->capacity ? shelf->capacity * 2 : 64;
        struct shelf_day **days = realloc(shelf->days, capacity * sizeof *days);
        if (!days) {
            error_set(err, ERROR_RETRY, "no memory for %zu days", capacity);
            return NULL;
        }
        shelf->days = days;
        shelf->capacity = capacity;
    }
    struct shelf_day *day = calloc(1, sizeof *day);
    if (!day) {
        error_set(err, ERROR_RETRY, "no memory for a day");
        return NULL;
    }
    day->number = number;
    memmove(shelf->days + at + 1, shelf->days + at, (shelf->count - at) * sizeof *shelf->days);
    shelf->days[at] = day;
    shelf->count++;
    return day;
}

void shelf_touch(struct shelf *shelf, struct shelf_day *day)
{
    day->touched_at = ++shelf->clock;
}

bool shelf_load(struct shelf *shelf, struct shelf_day *day)
{
    shelf_unload(day);
    day->sets = day_new(day->number, shelf->identity, &shelf->budget);
    shelf_touch(shelf, day);
    return day->sets != NULL;
}

void shelf_unload(struct shelf_day *day)
{
    day_free(day->sets);
    day->sets = NULL;
}

static bool is_better_to_put_away(const struct shelf_day *day, const struct shelf_day *than)
{
    if (!than)
        return true;
    if (day->is_closed != than->is_closed)
        return day->is_closed;
    return day->touched_at < than->touched_at;
}

/* Puts one loaded day away, but not `keep`, and no open day for a closed one: that would come back with the next event. False:
 * there is none. */
static bool put_away(struct shelf *shelf, const struct shelf_day *keep)
{
    struct shelf_day *chosen = NULL;
    for (size_t i = 0; i < shelf->count; i++) {
        struct shelf_day *day = shelf->days[i];
        if (day->sets && day != keep && (day->is_closed || !keep->is_closed) && is_better_to_put_away(day, chosen))
            chosen = day;
    }
    if (!chosen)
        return false;
    if (chosen->sets->touched_count > 0)
        shelf_want(shelf, chosen, REBUILD_EVICTED);
    shelf_unload(chosen);
    return true;
}

bool shelf_name(struct shelf *shelf, struct shelf_day *day, const char *text, size_t length, uint32_t *name)
{
    while (!day_name(day->sets, text, length, name))
        if (!put_away(shelf, day))
            return false;
    return true;
}

bool shelf_reserve(struct shelf *shelf, struct shelf_day *day, const struct day_event *event)
{
    while (!day_reserve(day->sets, event))
        if (!put_away(shelf, day))
            return false;
    return true;
}

void shelf_want(const struct shelf *shelf, struct shelf_day *day, enum rebuild_reason reason)
{
    shelf_want_since(day, reason, shelf->wall_us);
}

void shelf_want_since(struct shelf_day *day, enum rebuild_reason reason, int64_t wall_us)
{
    if (day->reason != REBUILD_NOT && day->reason != REBUILD_CLOSE)
        return;
    day->reason = reason;
    day->waiting_since_us = wall_us;
}

static bool is_before(const struct shelf_day *day, const struct shelf_day *than, int64_t wall_us)
{
    if (!than)
        return true;
    bool is_patient = wall_us - day->waiting_since_us < PATIENCE_US;
    bool than_is_patient = wall_us - than->waiting_since_us < PATIENCE_US;
    if (is_patient != than_is_patient)
        return !is_patient;
    if (!is_patient && day->waiting_since_us != than->waiting_since_us)
        return day->waiting_since_us < than->waiting_since_us;
    return day->number > than->number;
}

static bool may_be_rebuilt(const struct shelf_day *day, int64_t now_us, int64_t since_us, bool is_urgent)
{
    if (day->reason == REBUILD_NOT)
        return false;
    if (day->rebuilt_at_us == 0)
        return true;
    return day->rebuilt_at_us < since_us && (is_urgent || now_us - day->rebuilt_at_us >= SHELF_REST * day->rebuild_us);
}

struct shelf_day *shelf_next(const struct shelf *shelf, int64_t now_us, int64_t since_us, bool is_urgent)
{
    struct shelf_day *next = NULL;
    for (size_t i = 0; i < shelf->count; i++) {
        struct shelf_day *day = shelf->days[i];
        if (may_be_rebuilt(day, now_us, since_us, is_urgent) && is_before(day, next, shelf->wall_us))
            next = day;
    }
    return next;
}

void shelf_count(const struct shelf *shelf, size_t *loaded, size_t *waiting)
{
    *loaded = *waiting = 0;
    for (size_t i = 0; i < shelf->count; i++) {
        *loaded += shelf->days[i]->sets != NULL;
        *waiting += shelf->days[i]->reason != REBUILD_NOT;
    }
}
