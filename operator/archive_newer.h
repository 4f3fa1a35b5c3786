/* archive_newer.h - archives that are newer than the books: after a backup was restored, the generation that the books name is gone
 * from the store where the month was archived anew since, when somebody was erased, say. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_NEWER_H
#define TALLYMILL_OPERATOR_ARCHIVE_NEWER_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_manifest.h"
#include "operator/month_name.h"

struct archive_store;

/* The newest whole generation after `generation` that the store has, and its manifest. *is_there false: none.
 * archive_manifest_reset() in any case. */
MUST_CHECK bool archive_newer_find(struct archive_manifest *manifest, struct archive_store *store, const struct month_name *month,
                                   int generation, bool *is_there, struct error *err);

/* ERROR_REJECT: that generation of the month is not in the store; and what to do, which depends on whether a newer one is. Always
 * false. */
MUST_CHECK bool archive_newer_explain(struct archive_store *store, const struct month_name *month, int generation,
                                      struct error *err);

/* In the transaction that brings the month back, before it is attached: the books name this generation instead, whose rows `table`
 * holds. ERROR_REJECT: rows that were stored after the books had the month away, for Kafka's log will be read again for them. */
MUST_CHECK bool archive_newer_take(PGconn *conn, const struct archive_manifest *manifest, const char *table, const char *target,
                                   struct error *err);

/* Behind it: the month's days wait for a rebuild, for their statistics are of the older generation. */
MUST_CHECK bool archive_newer_mark_days(PGconn *conn, const struct month_name *month, struct error *err);

#endif
