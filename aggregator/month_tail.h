/* month_tail.h - where the new rows of a month's table are.
 *
 * New rows lie in a table's last pages, as long as COPY has no room before them. So a month is read from where its end was when the
 * last cycle looked, and a little before (its tail); that costs nothing that grows with the table and needs no index. Rows that
 * were put elsewhere (room that a vacuum found; a worker that was slow) show as a batch with rows missing: then the month is read
 * by its batch index for a while, which is brought up to date before.
 *
 *     unknown --- a cycle has committed all that it saw (advance) ---> by tail --- rows were missing (miss) ---> by index
 *        ^                                                              ^  |                                        |
 *        |                                                              |  |                                        |
 *        +---- another server may answer (forget), from any state       +--|---- the time for that is over ---------+
 *
 * unknown: tail_page is -1, and the month is read by the index, too. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_MONTH_TAIL_H
#define TALLYMILL_AGGREGATOR_MONTH_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct session;

/* All -1 at first: month_tail_forget(). Times are monotonic. */
struct month_tail {
    int64_t pages;      /* as far as the month's batch index is summarised; -1: not by us yet */
    int64_t look_pages; /* its pages at this cycle's look, before the snapshot; -1: not looked at */
    int64_t tail_page;  /* first page that may hold rows not folded yet; reading begins SLACK_PAGES before it; -1: not known */
    int64_t read_from;  /* by this cycle; -1: by the index, or not yet */
    int64_t by_index_until_us, by_index_us; /* after a miss; for how long */
    int64_t again_us;                       /* no summary before: a vacuum was at work */
};

/* Nothing is known of the table and its index. */
void month_tail_forget(struct month_tail *tail);

/* Whether the unfolded rows are to be read by the batch index. */
bool month_tail_is_by_index(const struct month_tail *tail, int64_t now_us);

/* The page from which on they are to be read, or -1: by the index. Noted for month_tail_miss(). */
int64_t month_tail_read_from(struct month_tail *tail, int64_t now_us);

/* Rows were missing: if the month was read from its tail it will be read by the index for some time, and this is true. */
bool month_tail_miss(struct month_tail *tail, int64_t now_us);

/* The cycle has committed; is_all: and nothing that was visible to it is left unfolded. */
void month_tail_advance(struct month_tail *tail, bool is_all);

/* Brings the batch index of the month that begins on first_day up to its last page. Outside of any transaction. */
MUST_CHECK bool month_tail_summarize(struct month_tail *tail, struct session *session, int32_t first_day, int64_t now_us,
                                     struct error *err);

#endif
