/* archive_proof.h - whether an archive is its month: read back from the store, loaded, and compared. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_PROOF_H
#define TALLYMILL_OPERATOR_ARCHIVE_PROOF_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_manifest.h"

struct settings;

/* Over a connection of its own; nothing of it stays. server_hash: of the month's table, by tallymill.month_sums. ERROR_REJECT: it
 * is not the month, or damaged. */
MUST_CHECK bool archive_proof(const struct settings *settings, struct archive_store *store, const struct archive_manifest *manifest,
                              const char *server_hash, struct error *err);

/* Whether the rows of `table`, copied out, are those of the manifest, in any order. ERROR_REJECT: others. */
MUST_CHECK bool archive_proof_rows(PGconn *conn, const char *table, const struct archive_manifest *manifest, struct error *err);

#endif
