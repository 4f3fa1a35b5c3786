/* snapshot.h - one moment of the database: every question of a command is answered by the same REPEATABLE READ snapshot.
 *
 * Read-only, and content with a login that has only tallymill_read. One thread.
 */
#ifndef TALLYMILL_OPERATOR_SNAPSHOT_H
#define TALLYMILL_OPERATOR_SNAPSHOT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/copy_out.h"

struct settings;
struct snapshot;

/* Connects (postgres.dsn), checks the schema, begins the transaction and takes the snapshot. NULL: ERROR_RETRY (no connection) or
 * ERROR_USAGE (schema, rights). `application_name` is what pg_stat_activity shows. */
MUST_CHECK struct snapshot *snapshot_open(const struct settings *settings, const char *application_name, struct error *err);

/* The same of a database that need not be ours: the schema is checked only where there is one. */
MUST_CHECK struct snapshot *snapshot_open_any(const struct settings *settings, const char *application_name, struct error *err);

/* The same, and until snapshot_close() no month leaves analytics_events (tallymill.hold_months). Tried again where one did just
 * then; ERROR_RETRY after the third time. */
MUST_CHECK struct snapshot *snapshot_open_whole(const struct settings *settings, const char *application_name, struct error *err);

/* Ends the transaction and disconnects. NULL is allowed. */
void snapshot_close(struct snapshot *snapshot);

/* What is compared by one query has about so many events: as much as sorts in memory or nearly. */
enum { SNAPSHOT_SPAN_EVENTS = 500000 };

/* The connection behind it, inside its transaction: for a COPY, or what only its owner can ask. */
PGconn *snapshot_conn(struct snapshot *snapshot);

/* Runs one query of operator/sql. The caller frees the result (PQclear). NULL on failure. */
MUST_CHECK PGresult *snapshot_ask(struct snapshot *snapshot, const char *sql, struct error *err);

/* From here on a question may fail for a reason of its own (an operator's query whose table is gone), and snapshot_back() goes on
 * with the same snapshot behind it: true, unless the connection was lost. What snapshot_set() said since the mark is forgotten. */
MUST_CHECK bool snapshot_mark(struct snapshot *snapshot, struct error *err);
bool snapshot_back(struct snapshot *snapshot);

/* Sets a variable that a query reads with current_setting('tallymill.NAME'): so the .sql files need no parameters and run in psql.
 */
MUST_CHECK bool snapshot_set(struct snapshot *snapshot, const char *name, const char *value, struct error *err);

/* Runs one COPY ... TO STDOUT and hands over row by row (copy_out.h); after a failure nothing more can be asked. */
MUST_CHECK bool snapshot_copy(struct snapshot *snapshot, const char *sql, copy_out_take *take, void *context, struct error *err);

/* A text or a name as it stands in SQL, quotes included, for what no parameter can say (COPY takes none). The caller frees it
 * (PQfreemem). NULL: ERROR_USAGE, it is no UTF-8. */
MUST_CHECK char *snapshot_quote_text(struct snapshot *snapshot, const char *text, struct error *err);
MUST_CHECK char *snapshot_quote_name(struct snapshot *snapshot, const char *name, struct error *err);

#endif
