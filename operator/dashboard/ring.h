/* ring.h - the last day of the pipeline's figures, a row every five seconds, in memory: for the live charts, without a second
 * system. One lock, any thread. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_RING_H
#define TALLYMILL_OPERATOR_DASHBOARD_RING_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum { RING_SECONDS = 5, RING_ROWS = 24 * 3600 / RING_SECONDS, RING_WHOLE = 5 * 60 / RING_SECONDS };

enum ring_figure {
    RING_STORED,    /* offsets a second since the row before */
    RING_PUBLISHED, /* likewise */
    RING_LAG_S,     /* the highest of the five seconds, as the next two */
    RING_LAG_EVENTS,
    RING_BEHIND_S, /* the statistics, behind the rows */
    RING_COMMIT_P50_MS,
    RING_COMMIT_P99_MS,
    RING_FIGURES
};

/* What is not known is NAN, and a hole in the curve: never 0. */
struct ring_row {
    int64_t at_ms; /* Unix time */
    double figures[RING_FIGURES];
};

struct ring;

struct ring *ring_new(void); /* NULL without memory */
void ring_free(struct ring *ring);
void ring_add(struct ring *ring, const struct ring_row *row);

/* Rows newer than since_ms, the oldest first, at most `most` of them by thinning: of each group the highest of every figure, so
 * that no peak is lost. The newest RING_WHOLE, which means are taken of, stand as they are. most: more than RING_WHOLE.
 * [[at_ms, stored, published, ...], ...], in the order of ring_figure; the caller owns it. */
json_t *ring_rows(struct ring *ring, int64_t since_ms, int most);

/* All rows newer than since_ms as CSV, with a head; what is not known is an empty cell. */
void ring_csv(struct ring *ring, int64_t since_ms, FILE *out);

int64_t ring_newest_ms(struct ring *ring); /* 0: none */

#endif
