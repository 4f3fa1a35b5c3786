/* ledger.h - the books as a cycle reads and moves them: what is unfolded, which days wait, how far the statistics have come.
 *
 * All of it inside the cycle's transaction, which ledger_begin() begins, but ledger_peek(). One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_LEDGER_H
#define TALLYMILL_AGGREGATOR_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct months;
struct session;
struct day_cache;
struct worklist;

/* What waits, asked outside of a transaction. */
struct ledger_look {
    bool has_batches, has_days;
    int32_t *months; /* first days of the months that unfolded batches name; freed by ledger_look_free */
    int64_t *pages;  /* how many pages each has; -1: it has no table */
    size_t month_count;
};

MUST_CHECK bool ledger_peek(struct session *session, int64_t close_after_us, struct ledger_look *look, struct error *err);
void ledger_look_free(struct ledger_look *look);

struct ledger_begun {
    bool has_lock;       /* false: another transaction holds the cycle's lock, and nothing else was read */
    int64_t epoch;       /* the leader's; unless it is ours, nothing else was read */
    bool is_overflowing; /* there are more than max_entries ledger rows, and the work list is of no use */
};

/* Begins the cycle's transaction and reads the books: which months are attached (and how many pages those have that are followed),
 * which of their days wait or are due for closing, and into the work list what is not folded. */
MUST_CHECK bool ledger_begin(struct session *session, int64_t epoch, int64_t close_after_us, uint32_t max_entries,
                             struct worklist *list, struct months *months, struct day_cache *cache, struct ledger_begun *begun,
                             struct error *err);

/* Moves `folded` to where the work list stands. */
MUST_CHECK bool ledger_move(struct session *session, const struct worklist *list, struct error *err);

/* Passes everything in the snapshot without reading a row: the days that it touches wait for a rebuild. *batches: how many ledger
 * rows. */
MUST_CHECK bool ledger_leap(struct session *session, int64_t *batches, struct error *err);

#endif
