/* ring.h - the last day of the pipeline's figures, a row every five seconds, in memory: for the live charts, without a second
 * system. One lock, any thread. */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_RING_H
#define TALLYMILL_OPERATOR_DASHBOARD_RING_H

#include <stdint.h>

#include <jansson.h>

enum { RING_SECONDS = 5, RING_ROWS = 24 * 3600 / RING_SECONDS };

/* What is not known is NAN, and a hole in the curve: never 0. */
struct ring_row {
    int64_t at_ms;            /* Unix time */
    double stored, published; /* offsets a second since the row before */
    double lag_s, lag_events; /* the highest of the five seconds */
    double behind_s;          /* likewise: the statistics, behind the rows */
};

struct ring;

struct ring *ring_new(void); /* NULL without memory */
void ring_free(struct ring *ring);
void ring_add(struct ring *ring, const struct ring_row *row);

/* Rows newer than since_ms, the oldest first, at most `most` of them by thinning: of each group the highest of every figure, so
 * that no peak is lost.
 * [[at_ms, stored, published, lag_s, lag_events, behind_s], ...]; the caller owns it. */
json_t *ring_rows(struct ring *ring, int64_t since_ms, int most);

int64_t ring_newest_ms(struct ring *ring); /* 0: none */

#endif
