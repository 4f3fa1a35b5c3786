/* ring.c - see ring.h. */
#include "operator/dashboard/ring.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

struct ring {
    pthread_mutex_t lock;
    int64_t count; /* ever added */
    struct ring_row rows[RING_ROWS];
};

struct ring *ring_new(void)
{
    struct ring *ring = calloc(1, sizeof *ring);
    if (ring)
        pthread_mutex_init(&ring->lock, NULL);
    return ring;
}

void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

void ring_add(struct ring *ring, const struct ring_row *row)
{
    pthread_mutex_lock(&ring->lock);
    ring->rows[ring->count++ % RING_ROWS] = *row;
    pthread_mutex_unlock(&ring->lock);
}

/* A hole stays one only where nothing is known beside it. */
static double higher(double one, double other)
{
    return isnan(one) || other > one ? other : one;
}

static void take_highest(struct ring_row *row, const struct ring_row *other)
{
    row->at_ms = other->at_ms;
    for (int i = 0; i < RING_FIGURES; i++)
        row->figures[i] = higher(row->figures[i], other->figures[i]);
}

/* Three digits behind the point are all that is drawn. */
static json_t *figure(double value)
{
    return isnan(value) ? json_null() : json_real(round(value * 1000) / 1000);
}

static void append(json_t *rows, const struct ring_row *row)
{
    json_t *cells = json_array();
    json_array_append_new(cells, json_integer(row->at_ms));
    for (int i = 0; i < RING_FIGURES; i++)
        json_array_append_new(cells, figure(row->figures[i]));
    json_array_append_new(rows, cells);
}

/* The place of the oldest row that is newer. Under the lock. */
static int64_t first_since(const struct ring *ring, int64_t since_ms)
{
    int64_t first = ring->count > RING_ROWS ? ring->count - RING_ROWS : 0;
    while (first < ring->count && ring->rows[first % RING_ROWS].at_ms <= since_ms) /* ends: with the rows */
        first++;
    return first;
}

json_t *ring_rows(struct ring *ring, int64_t since_ms, int most)
{
    json_t *rows = json_array();
    assert(most > RING_WHOLE);
    pthread_mutex_lock(&ring->lock);
    const int64_t first = first_since(ring, since_ms), older = ring->count - first - RING_WHOLE, room = most - RING_WHOLE;
    const int64_t whole = first + (older > 0 ? older : 0), group = older > room ? (older + room - 1) / room : 1;
    for (int64_t at = first; at < ring->count;) {
        struct ring_row row = ring->rows[at % RING_ROWS];
        const int64_t behind = at + group < whole ? at + group : at < whole ? whole : at + 1;
        for (int64_t in = at + 1; in < behind; in++)
            take_highest(&row, &ring->rows[in % RING_ROWS]);
        append(rows, &row);
        at = behind;
    }
    pthread_mutex_unlock(&ring->lock);
    return rows;
}

static void write_row(const struct ring_row *row, FILE *out)
{
    char at[CLOCK_TIME_BYTES];
    clock_format_time(at, row->at_ms * 1000);
    fputs(at, out);
    for (int i = 0; i < RING_FIGURES; i++)
        if (isnan(row->figures[i]))
            putc(',', out);
        else
            fprintf(out, ",%.15g", round(row->figures[i] * 1000) / 1000);
    fputs("\r\n", out);
}

void ring_csv(struct ring *ring, int64_t since_ms, FILE *out)
{
    fputs("at,stored_per_s,published_per_s,lag_s,lag_events,behind_s,commit_p50_ms,commit_p99_ms\r\n", out);
    pthread_mutex_lock(&ring->lock);
    for (int64_t at = first_since(ring, since_ms); at < ring->count; at++) /* into memory: it does not wait for a client */
        write_row(&ring->rows[at % RING_ROWS], out);
    pthread_mutex_unlock(&ring->lock);
}

int64_t ring_newest_ms(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    const int64_t newest_ms = ring->count > 0 ? ring->rows[(ring->count - 1) % RING_ROWS].at_ms : 0;
    pthread_mutex_unlock(&ring->lock);
    return newest_ms;
}
