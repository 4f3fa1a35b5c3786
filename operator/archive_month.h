/* archive_month.h - how a month leaves analytics_events: written, proven, detached, dropped. Every step may be interrupted
 * anywhere; the next run goes on. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_MONTH_H
#define TALLYMILL_OPERATOR_ARCHIVE_MONTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "operator/archive_books.h"

struct archive_store;
struct settings;

/* What a run has. store NULL: nothing is kept ("none"). */
struct archive_run {
    const struct settings *settings;
    struct archive_store *store;
    struct archive_books books;
};

/* What became of a month. */
struct archive_report {
    bool was_away;  /* it was archived before; nothing but tidying was done */
    bool is_reused; /* its archive was there and is equal to it: written before, proven again */
    int generation, parts;
    int64_t rows, bytes, away_us;    /* away_us: how long its rows were in no query */
    int64_t late;                    /* dead letters that wait for it */
    char leftover[ERROR_TEXT_BYTES]; /* an older generation that could not be deleted, and why; "": there is none */
};

/* Takes a month out. False with err: ERROR_RETRY, it waits (the text says for what) or something failed that may pass;
 * ERROR_REJECT, its archive is damaged; ERROR_USAGE, it cannot be. The month is then where it was, or on its way, which the next
 * run ends. */
MUST_CHECK bool archive_month(struct archive_run *run, const struct month_name *month, struct archive_report *report,
                              struct error *err);

/* A month that is on its way out stays. *was_leaving false: it was not, and nothing was done. */
MUST_CHECK bool archive_month_cancel(struct archive_run *run, const struct month_name *month, bool *was_leaving, struct error *err);

/* Reads the archive of a month again: every byte, all rows. The manifest read is compared with the books. *is_kept false: it has
 * none (never archived, or nothing was kept). */
MUST_CHECK bool archive_month_verify(struct archive_run *run, const struct month_name *month, bool *is_kept,
                                     struct archive_report *report, struct error *err);

#endif
