/* ledger.h - the books as a cycle reads and moves them: what is unfolded, which days wait, how far the statistics have come.
 *
 * All of it inside the cycle's transaction, but ledger_peek(). One thread.
 */
#ifndef TALLYMILL_LEDGER_H
#define TALLYMILL_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct months;
struct session;
struct shelf;
struct worklist;

/* What waits, asked outside of a transaction. */
struct ledger_look {
    bool has_batches, has_days;
    int32_t *months; /* first days of the months that unfolded batches name; freed by ledger_look_free */
    int64_t *pages;  /* how many pages each has; -1: it has no table */
    size_t month_count;
};

bool ledger_peek(struct session *session, int64_t close_after_us, struct ledger_look *look, struct error *err);
void ledger_look_free(struct ledger_look *look);

/* Fills the work list with everything that is not folded, at most max_entries ledger rows; *is_overflowing: there are more, and the
 * list is of no use. */
bool ledger_read(struct session *session, struct worklist *list, uint32_t max_entries, bool *is_overflowing, struct error *err);

/* Moves `folded` to where the work list stands. */
bool ledger_move(struct session *session, const struct worklist *list, struct error *err);

/* Passes everything in the snapshot without reading a row: the days that it touches wait for a rebuild. *batches: how many ledger
 * rows. */
bool ledger_leap(struct session *session, int64_t *batches, struct error *err);

/* Notes on the shelf which days of attached months wait, as tallymill.days says, and which are due for closing (at or before
 * due_day). */
bool ledger_read_days(struct session *session, struct shelf *shelf, const struct months *months, int32_t due_day,
                      struct error *err);

/* Marks the days that wait in tallymill.days. */
bool ledger_mark_days(struct session *session, struct shelf *shelf, struct error *err);

#endif
