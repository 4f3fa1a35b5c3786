/* schema.h - bringing a database's schema up to this program's (common/migrations.h).
 *
 * What was applied is in tallymill.schema_version with the checksum of its text, so a migration that was changed after it ran is
 * noticed and not built upon. Functions and views are in tallymill.schema_objects, and are applied again where their text is
 * another one. One thread.
 */
#ifndef TALLYMILL_OPERATOR_SCHEMA_H
#define TALLYMILL_OPERATOR_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/migrations.h"

/* A row of tallymill.schema_version. */
struct applied_migration {
    int version;
    const char *name;
    const char *checksum;
    int min_program;
};

/* Compares what was applied (sorted by version) with what the program has; no I/O. True: the applied ones are the first
 * *applied_count of the program's. False: ERROR_USAGE and which one was changed, is missing, or belongs to a newer release; or that
 * `database` was made by migrations of another numbering. */
MUST_CHECK bool schema_compare(const struct migration *migrations, size_t count, const struct applied_migration *applied,
                               size_t applied_count, const char *database, struct error *err);

/* Reads schema_version and compares it with the program's migrations; *applied_count says how many are there. */
MUST_CHECK bool schema_read_migrations(PGconn *conn, bool has_schema, size_t *applied_count, struct error *err);

/* Reads schema_objects (*applied, the caller clears it; NULL where there is no schema) and counts what is to be applied, in *due.
 * ERROR_USAGE where a newer release has replaced one of them. */
MUST_CHECK bool schema_read_objects(PGconn *conn, bool has_schema, PGresult **applied, int *due, struct error *err);
bool schema_is_due(const struct schema_object *object, const PGresult *applied);

/* What can be said before anything is done. */
struct schema_ground {
    bool has_schema;
    int version;       /* the last applied migration, 0 for none */
    int known;         /* the program's last migration */
    int objects_due;   /* functions and views that are to be applied */
    char database[64]; /* its name */
};

/* Looks at server, database, rights and what was applied, and refuses (ERROR_USAGE, what is wrong and what to do) where migrations
 * could not run: an old server, an encoding other than UTF8, rights that are missing, tables of these names that are not ours.
 * Changes nothing. */
MUST_CHECK bool schema_look(PGconn *conn, struct schema_ground *ground, struct error *err);

/* The same for an adoption, which brings tables of these names along. */
MUST_CHECK bool schema_look_beside(PGconn *conn, struct schema_ground *ground, struct error *err);

/* What one schema_apply() applied. */
struct schema_done {
    int migrations, objects;
};

/* Applies what is missing: each migration in one transaction with its row, then all functions and views whose text is another one
 * in one transaction with theirs. Waits for another migrate that is at work. */
MUST_CHECK bool schema_apply(PGconn *conn, struct schema_done *done, struct error *err);

/* All of it in the caller's transaction, into a database that has nothing of it; the caller ends the transaction, and has made sure
 * that nobody else migrates. */
MUST_CHECK bool schema_apply_here(PGconn *conn, struct error *err);

/* Gives objects that another than tallymill_admin owns (a restore with --no-owner) back to it; *given counts them. ERROR_USAGE
 * where this login may not: the message names an object, its owner and the remedy. */
MUST_CHECK bool schema_claim_objects(PGconn *conn, int *given, struct error *err);

#endif
