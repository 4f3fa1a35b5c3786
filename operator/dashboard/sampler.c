/* sampler.c - see sampler.h. */
#include "operator/dashboard/sampler.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/dashboard/lag.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/ring.h"
#include "operator/dashboard/rows.h"
#include "operator/dashboard/workers.h"
#include "operator/topic.h"

extern const char sample_sql[], audit_totals_sql[], audit_offsets_sql[], audit_equation_sql[];

enum {
    LOOK_MS = 1000,
    BOOKS_MS = 60 * 1000,
    BOOKS_AGAIN_MS = 5 * 1000,
    KAFKA_TIMEOUT_MS = 3000,
    KAFKA_FRESH_MS = 5000,
    WORKERS_MS = 2000,
    DAMAGES = 5,
    THREADS = 4
};

#define BOOKS_US (30 * CLOCK_SECOND_US)

/* What the threads tell each other, under the lock. */
struct sampler {
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool is_stopping;
    pthread_t threads[THREADS];
    int started;
    const struct settings *settings;
    struct readers *readers;
    struct ring *ring;
    struct workers *workers;
    void (*tell)(void *context);
    void *context;

    int count; /* topic partitions whose end is known */
    int64_t *ends;
    struct lag *lags;
    int64_t ends_us;                      /* when; 0: never */
    char kafka_trouble[ERROR_TEXT_BYTES]; /* "": none */
    bool is_told;                         /* the log has it */

    json_t *books;
};

/* Waits; true once the sampler is to stop. */
static bool pause_ms(struct sampler *sampler, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + ms % 1000 * INT64_C(1000000);
    until.tv_sec += ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&sampler->lock);
    int code = 0;
    while (!sampler->is_stopping && code == 0) /* ends: with the time */
        code = pthread_cond_timedwait(&sampler->stop, &sampler->lock, &until);
    const bool is_stopping = sampler->is_stopping;
    pthread_mutex_unlock(&sampler->lock);
    return is_stopping;
}

/* ---- the ends of Kafka's logs ---- */

static bool has_room(struct sampler *sampler, int count)
{
    if (count <= sampler->count)
        return true;
    int64_t *ends = realloc(sampler->ends, (size_t)count * sizeof *ends);
    if (ends)
        sampler->ends = ends;
    struct lag *lags = ends ? realloc(sampler->lags, (size_t)count * sizeof *lags) : NULL;
    if (!lags)
        return false;
    sampler->lags = lags;
    memset(lags + sampler->count, 0, (size_t)(count - sampler->count) * sizeof *lags);
    sampler->count = count;
    return true;
}

static void note_ends(struct sampler *sampler, const struct topic *topic)
{
    pthread_mutex_lock(&sampler->lock);
    if (has_room(sampler, topic->count)) {
        sampler->ends_us = clock_now_us();
        sampler->kafka_trouble[0] = '\0';
        sampler->is_told = false;
        for (int i = 0; i < topic->count; i++) {
            sampler->ends[i] = topic->logs[i].high;
            lag_see(&sampler->lags[i], topic->logs[i].high, sampler->ends_us);
        }
    }
    pthread_mutex_unlock(&sampler->lock);
}

static void note_kafka_trouble(struct sampler *sampler, const struct error *err)
{
    pthread_mutex_lock(&sampler->lock);
    const bool is_new = !sampler->is_told;
    sampler->is_told = true;
    snprintf(sampler->kafka_trouble, sizeof sampler->kafka_trouble, "%s", err->text);
    pthread_mutex_unlock(&sampler->lock);
    if (is_new)
        log_warn_because(err, "Kafka does not say how far its logs go", NULL);
}

static void *watch_kafka(void *context)
{
    struct sampler *sampler = context;
    rd_kafka_t *client = NULL;
    do {
        struct error err = {0};
        struct topic topic = {0};
        if (!client)
            client = topic_client(sampler->settings, &err);
        if (client && topic_read(client, settings_text(sampler->settings, "topics.events"), KAFKA_TIMEOUT_MS, &topic, &err))
            note_ends(sampler, &topic);
        else
            note_kafka_trouble(sampler, &err);
        topic_free(&topic);
    } while (!pause_ms(sampler, LOOK_MS));
    if (client)
        rd_kafka_destroy(client);
    return NULL;
}

/* ---- positions and freshness ---- */

/* What five seconds were like. */
struct interval {
    struct ring_row highest;
    int64_t began_us;
    double stored_at_first, published_at_first; /* sums of offsets */
    double stored, published;
    int looks;
};

static double highest_of(double one, double other)
{
    return isnan(one) || other > one ? other : one;
}

static void note_highest(struct interval *interval, enum ring_figure figure, double value)
{
    interval->highest.figures[figure] = highest_of(interval->highest.figures[figure], value);
}

static bool is_of_topic(const struct sampler *sampler, const PGresult *rows, int row)
{
    return strcmp(answer_text(rows, row, "topic"), settings_text(sampler->settings, "topics.events")) == 0;
}

/* Whether Kafka says how far its logs go: its last answer is young, and it was not asked in vain since. Under the lock. */
static bool is_fresh(const struct sampler *sampler, int64_t now_us)
{
    return sampler->kafka_trouble[0] == '\0' && sampler->ends_us != 0 && now_us - sampler->ends_us < KAFKA_FRESH_MS * INT64_C(1000);
}

/* Lag and ends, from what Kafka said lately; all stays NAN where it did not. */
static void compare_ends(struct sampler *sampler, const PGresult *positions, struct interval *interval, int64_t now_us)
{
    double events = 0, age_s = 0, published = 0;
    pthread_mutex_lock(&sampler->lock);
    const bool is_known = is_fresh(sampler, now_us);
    for (int i = 0; is_known && i < sampler->count; i++) {
        int64_t position = 0;
        for (int row = 0; row < PQntuples(positions); row++)
            if (answer_int(positions, row, "topic_partition") == i && is_of_topic(sampler, positions, row))
                position = answer_int(positions, row, "next_offset");
        const double age = (double)lag_age_us(&sampler->lags[i], position, now_us) / CLOCK_SECOND_US;
        events += sampler->ends[i] > position ? (double)(sampler->ends[i] - position) : 0;
        age_s = age > age_s ? age : age_s;
        published += (double)sampler->ends[i];
    }
    pthread_mutex_unlock(&sampler->lock);
    if (!is_known)
        return;
    note_highest(interval, RING_LAG_EVENTS, events);
    note_highest(interval, RING_LAG_S, age_s);
    if (isnan(interval->published_at_first))
        interval->published_at_first = published;
    interval->published = published;
}

static void look_at_rows(struct sampler *sampler, const PGresult *rows, struct interval *interval)
{
    double stored = 0;
    for (int row = 0; row < PQntuples(rows); row++)
        stored += is_of_topic(sampler, rows, row) ? (double)answer_int(rows, row, "next_offset") : 0;
    if (isnan(interval->stored_at_first)) { /* nothing was known before: from here on */
        interval->stored_at_first = stored;
        interval->began_us = clock_now_us();
    }
    interval->stored = stored;
    if (PQntuples(rows) > 0)
        note_highest(interval, RING_BEHIND_S, strtod(answer_text(rows, 0, "behind_s"), NULL));
    compare_ends(sampler, rows, interval, clock_now_us());
}

static void look(struct sampler *sampler, struct interval *interval)
{
    struct error err = {0};
    struct reader *reader = readers_take(sampler->readers, &err);
    PGresult *rows = reader ? reader_ask(reader, sample_sql, &err) : NULL;
    interval->stored = interval->published = NAN;
    if (rows)
        look_at_rows(sampler, rows, interval);
    PQclear(rows);
    if (reader)
        readers_give(sampler->readers, reader);
}

static void begin(struct interval *interval, double stored, double published)
{
    *interval = (struct interval){.began_us = clock_now_us(), .stored_at_first = stored, .published_at_first = published};
    for (int i = 0; i < RING_FIGURES; i++)
        interval->highest.figures[i] = NAN;
}

static void end(struct sampler *sampler, struct interval *interval)
{
    const double seconds = fmax(1, (double)(clock_now_us() - interval->began_us) / CLOCK_SECOND_US);
    interval->highest.at_ms = clock_wall_us() / 1000;
    interval->highest.figures[RING_STORED] = fmax(0, interval->stored - interval->stored_at_first) / seconds;
    interval->highest.figures[RING_PUBLISHED] = fmax(0, interval->published - interval->published_at_first) / seconds;
    if (isnan(interval->stored) || isnan(interval->stored_at_first))
        interval->highest.figures[RING_STORED] = NAN;
    if (isnan(interval->published) || isnan(interval->published_at_first))
        interval->highest.figures[RING_PUBLISHED] = NAN;
    workers_take(sampler->workers, &interval->highest.figures[RING_COMMIT_P50_MS], &interval->highest.figures[RING_COMMIT_P99_MS]);
    ring_add(sampler->ring, &interval->highest);
    sampler->tell(sampler->context);
}

static void *watch_positions(void *context)
{
    struct sampler *sampler = context;
    struct interval interval;
    begin(&interval, NAN, NAN);
    do {
        look(sampler, &interval);
        if (++interval.looks < RING_SECONDS)
            continue;
        end(sampler, &interval);
        begin(&interval, interval.stored, interval.published);
    } while (!pause_ms(sampler, LOOK_MS));
    return NULL;
}

static void *watch_workers(void *context)
{
    struct sampler *sampler = context;
    do
        workers_look(sampler->workers);
    while (!pause_ms(sampler, WORKERS_MS));
    return NULL;
}

/* ---- the books ---- */

static bool add_damages(struct reader *reader, const char *sql, json_t *damages, struct error *err)
{
    PGresult *found = reader_ask_long(reader, sql, BOOKS_US, err);
    for (int row = 0; found && row < PQntuples(found) && row < DAMAGES; row++) {
        char text[ERROR_TEXT_BYTES];
        snprintf(text, sizeof text, "%s, topic partition %s, offset %s: %s", answer_text(found, row, "topic"),
                 answer_text(found, row, "topic_partition"), answer_text(found, row, "first_offset"),
                 answer_text(found, row, "damage"));
        json_array_append_new(damages, json_string(text));
    }
    PQclear(found);
    return found != NULL;
}

static json_t *ask_books(struct sampler *sampler)
{
    struct error err = {0};
    json_t *damages = json_array();
    struct reader *reader = readers_take(sampler->readers, &err);
    PGresult *totals = reader ? reader_ask_long(reader, audit_totals_sql, BOOKS_US, &err) : NULL;
    const bool is_asked =
        totals && add_damages(reader, audit_offsets_sql, damages, &err) && add_damages(reader, audit_equation_sql, damages, &err);
    const char *verdict = json_array_size(damages) > 0 ? "damaged" : is_asked ? "ok" : "unknown";
    json_t *books = json_pack("{s:s, s:I, s:o, s:o, s:o}", "verdict", verdict, "at", (json_int_t)(clock_wall_us() / 1000),
                              "damages", damages, "totals", totals ? rows_objects(totals) : json_array(), "trouble",
                              is_asked ? json_null() : json_string(err.text));
    PQclear(totals);
    if (reader)
        readers_give(sampler->readers, reader);
    return books;
}

static void *watch_books(void *context)
{
    struct sampler *sampler = context;
    bool is_known;
    do {
        json_t *books = ask_books(sampler);
        is_known = books && strcmp(json_string_value(json_object_get(books, "verdict")), "unknown") != 0;
        pthread_mutex_lock(&sampler->lock);
        json_decref(sampler->books);
        sampler->books = books;
        pthread_mutex_unlock(&sampler->lock);
    } while (!pause_ms(sampler, is_known ? BOOKS_MS : BOOKS_AGAIN_MS));
    return NULL;
}

/* ---- start and stop ---- */

static bool start_threads(struct sampler *sampler)
{
    static void *(*const works[THREADS])(void *) = {watch_kafka, watch_positions, watch_books, watch_workers};
    const int wanted = workers_count(sampler->workers) > 0 ? THREADS : THREADS - 1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    for (; sampler->started < wanted; sampler->started++)
        if (pthread_create(&sampler->threads[sampler->started], NULL, works[sampler->started], sampler) != 0)
            break;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sampler->started == wanted;
}

static struct workers *open_workers(const struct settings *settings, struct error *err)
{
    struct workers *workers = workers_new(settings_text(settings, "dashboard.workers"), err);
    if (!workers)
        error_wrap(err, "%s: dashboard.workers", settings_origin(settings, "dashboard.workers"));
    return workers;
}

bool sampler_check(const struct settings *settings, struct error *err)
{
    struct workers *workers = open_workers(settings, err);
    const bool is_list = workers != NULL;
    workers_free(workers);
    return is_list;
}

/* With the lock and without its threads. NULL: err. */
static struct sampler *sampler_new(const struct settings *settings, struct error *err)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    pthread_condattr_t monotonic;
    if (!sampler) {
        error_set(err, ERROR_RETRY, "no memory for the sampler");
        return NULL;
    }
    sampler->settings = settings;
    snprintf(sampler->kafka_trouble, sizeof sampler->kafka_trouble, "it was not asked yet");
    pthread_mutex_init(&sampler->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sampler->ring = ring_new();
    const bool is_ready = sampler->ring || error_set(err, ERROR_RETRY, "no memory for the sampler");
    if (is_ready && (sampler->workers = open_workers(settings, err)) != NULL)
        return sampler;
    sampler_stop(sampler);
    return NULL;
}

struct sampler *sampler_start(const struct settings *settings, struct readers *readers, void (*tell)(void *context), void *context,
                              struct error *err)
{
    struct sampler *sampler = sampler_new(settings, err);
    if (!sampler)
        return NULL;
    sampler->readers = readers;
    sampler->tell = tell;
    sampler->context = context;
    if (start_threads(sampler))
        return sampler;
    sampler_stop(sampler);
    error_set(err, ERROR_RETRY, "cannot start the sampler's threads");
    return NULL;
}

void sampler_stop(struct sampler *sampler)
{
    if (!sampler)
        return;
    pthread_mutex_lock(&sampler->lock);
    sampler->is_stopping = true;
    pthread_cond_broadcast(&sampler->stop);
    pthread_mutex_unlock(&sampler->lock);
    for (int i = 0; i < sampler->started; i++)
        pthread_join(sampler->threads[i], NULL);
    json_decref(sampler->books);
    pthread_cond_destroy(&sampler->stop);
    pthread_mutex_destroy(&sampler->lock);
    ring_free(sampler->ring);
    workers_free(sampler->workers);
    free(sampler->ends);
    free(sampler->lags);
    free(sampler);
}

json_t *sampler_rows(struct sampler *sampler, int64_t since_ms, int most)
{
    return ring_rows(sampler->ring, since_ms, most);
}

void sampler_csv(struct sampler *sampler, int64_t since_ms, FILE *out)
{
    ring_csv(sampler->ring, since_ms, out);
}

json_t *sampler_workers(struct sampler *sampler)
{
    return workers_json(sampler->workers);
}

int64_t sampler_newest_ms(struct sampler *sampler)
{
    return ring_newest_ms(sampler->ring);
}

json_t *sampler_books(struct sampler *sampler)
{
    pthread_mutex_lock(&sampler->lock);
    json_t *books = sampler->books
                        ? json_deep_copy(sampler->books)
                        : json_pack("{s:s, s:n, s:[], s:[], s:n}", "verdict", "unknown", "at", "damages", "totals", "trouble");
    pthread_mutex_unlock(&sampler->lock);
    return books;
}

json_t *sampler_kafka(struct sampler *sampler)
{
    json_t *ends = json_array(), *ages = json_array();
    const int64_t now_us = clock_now_us();
    pthread_mutex_lock(&sampler->lock);
    const bool is_known = is_fresh(sampler, now_us);
    for (int i = 0; i < sampler->count; i++) {
        const struct lag *lag = &sampler->lags[i];
        json_array_append_new(ends, is_known ? json_integer(sampler->ends[i]) : json_null());
        json_array_append_new(ages, is_known
                                        ? json_real(lag->count > 0 ? (double)(now_us - lag->marks[0].at_us) / CLOCK_SECOND_US : 0)
                                        : json_null());
    }
    json_t *kafka = json_pack("{s:o, s:o, s:o}", "trouble", is_known ? json_null() : json_string(sampler->kafka_trouble), "ends",
                              ends, "lag_s", ages);
    pthread_mutex_unlock(&sampler->lock);
    return kafka;
}
