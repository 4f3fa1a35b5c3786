/* archive_parts.h - a month's rows into a store, in parts, and out of it again. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_PARTS_H
#define TALLYMILL_OPERATOR_ARCHIVE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_manifest.h"

struct progress;

/* COPYs the table of the month as the transaction of `conn` sees it, in parts of about `part_bytes`, and fills rows, bytes,
 * row_hash and parts of the manifest; month, generation and packing are the caller's. The manifest itself is not written. columns:
 * as SQL. */
MUST_CHECK bool archive_parts_write(PGconn *conn, struct archive_store *store, const char *table, const char *columns,
                                    int64_t part_bytes, struct archive_manifest *manifest, struct progress *progress,
                                    struct error *err);

/* Reads every part, checks its bytes by SHA-256 and all rows by number and hash, and hands each row over (take NULL: none), as COPY
 * ... (FORMAT csv) takes it. ERROR_REJECT names the part that is damaged; nothing of it, or only rows of it that were good, had
 * been handed over then. */
MUST_CHECK bool archive_parts_read(struct archive_store *store, const struct archive_manifest *manifest,
                                   bool (*take)(void *context, const char *row, size_t length, struct error *err), void *context,
                                   struct progress *progress, struct error *err);

#endif
