/* rollup_list.h - what is due of the rollups, in pieces that one query may compute, and how large a piece of each rollup may be.
 *
 * A piece is many periods of one rollup. Where its query fails or is ended, the next try has half as many, down to the one period
 * that is to blame; each that succeeds may be followed by one of twice as many. A rollup whose query was ended rests, so that the
 * others go on. Bounded memory, no I/O. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_ROLLUP_LIST_H
#define TALLYMILL_AGGREGATOR_ROLLUP_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROLLUP_LIST_MAX = 2000, ROLLUP_NAME_MAX = 64, ROLLUP_LIMITS_MAX = 128 };

struct rollup_piece {
    char rollup[ROLLUP_NAME_MAX];
    int32_t first_day, last_day; /* days since 1970, both whole */
    int32_t period_days;         /* 1, or 7: first_day is a Monday, last_day a Sunday */
};

struct rollup_limit {
    char rollup[ROLLUP_NAME_MAX];
    int32_t days;          /* a piece may span so many */
    int64_t not_before_us; /* monotonic: it rests until then */
};

struct rollup_list {
    struct rollup_piece *pieces; /* ROLLUP_LIST_MAX, or NULL: nothing was listed yet */
    size_t count, next;
    struct rollup_limit limits[ROLLUP_LIMITS_MAX]; /* of those that are not as large as they like; the oldest gives way */
    size_t limit_count, limit_turn;
};

void rollup_list_free(struct rollup_list *list);

/* Begins a new list. False: no memory. */
bool rollup_list_begin(struct rollup_list *list);

/* Adds a piece behind the others; one beyond ROLLUP_LIST_MAX is left out (the next list has it). */
void rollup_list_add(struct rollup_list *list, const struct rollup_piece *piece);

/* Takes the next piece, or its newest periods where it is larger than its rollup's limit. False: the list is at its end.
 * ignores_rest: also of rollups that rest. */
bool rollup_list_take(struct rollup_list *list, struct rollup_piece *piece, int64_t now_us, bool ignores_rest);

void rollup_list_succeeded(struct rollup_list *list, const struct rollup_piece *piece);

/* The next try of it has half as many periods, after rest_us. It is taken up by the next list. */
void rollup_list_failed(struct rollup_list *list, const struct rollup_piece *piece, int64_t now_us, int64_t rest_us);

static inline int32_t rollup_piece_periods(const struct rollup_piece *piece)
{
    return (piece->last_day - piece->first_day + 1) / piece->period_days;
}

#endif
