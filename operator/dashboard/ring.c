/* ring.c - see ring.h. */
#include "operator/dashboard/ring.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

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
    row->stored = higher(row->stored, other->stored);
    row->published = higher(row->published, other->published);
    row->lag_s = higher(row->lag_s, other->lag_s);
    row->lag_events = higher(row->lag_events, other->lag_events);
    row->behind_s = higher(row->behind_s, other->behind_s);
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
    json_array_append_new(cells, figure(row->stored));
    json_array_append_new(cells, figure(row->published));
    json_array_append_new(cells, figure(row->lag_s));
    json_array_append_new(cells, figure(row->lag_events));
    json_array_append_new(cells, figure(row->behind_s));
    json_array_append_new(rows, cells);
}

json_t *ring_rows(struct ring *ring, int64_t since_ms, int most)
{
    json_t *rows = json_array();
    pthread_mutex_lock(&ring->lock);
    int64_t first = ring->count > RING_ROWS ? ring->count - RING_ROWS : 0;
    while (first < ring->count && ring->rows[first % RING_ROWS].at_ms <= since_ms)
        first++;
    const int64_t group = (ring->count - first + most - 1) / most;
    for (int64_t at = first; at < ring->count;) {
        struct ring_row row = ring->rows[at % RING_ROWS];
        for (int64_t in = 1; in < group && at + in < ring->count; in++)
            take_highest(&row, &ring->rows[(at + in) % RING_ROWS]);
        append(rows, &row);
        at += group;
    }
    pthread_mutex_unlock(&ring->lock);
    return rows;
}

int64_t ring_newest_ms(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    const int64_t newest_ms = ring->count > 0 ? ring->rows[(ring->count - 1) % RING_ROWS].at_ms : 0;
    pthread_mutex_unlock(&ring->lock);
    return newest_ms;
}
