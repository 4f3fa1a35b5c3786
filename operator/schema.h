/* schema.h - bringing a database's schema up to this program's migrations.
 *
 * What was applied is in tallymill.schema_version with the checksum of its text, so a migration that was changed after it ran is
 * noticed and not built upon. One thread.
 */
#ifndef TALLYMILL_OPERATOR_SCHEMA_H
#define TALLYMILL_OPERATOR_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/postgres.h"

/* A row of tallymill.schema_version. */
struct applied_migration {
    int version;
    const char *name;
    const char *checksum;
    int min_program;
};

enum { SCHEMA_CHECKSUM_BYTES = 33 };

/* XXH3-128 of a migration's text as 32 hex digits. Returns `checksum`. */
const char *schema_checksum(char checksum[SCHEMA_CHECKSUM_BYTES], const char *text, size_t length);

/* Compares what was applied (sorted by version) with what the program has; no I/O. True: the applied ones are the first
 * *applied_count of the program's. False: ERROR_USAGE and which one was changed, is missing, or belongs to a newer release. */
bool schema_compare(const struct migration *migrations, size_t count, const struct applied_migration *applied, size_t applied_count,
                    struct error *err);

/* What can be said before anything is done. */
struct schema_ground {
    bool has_schema;
    int version;       /* the last applied migration, 0 for none */
    int known;         /* the program's last migration */
    char database[64]; /* its name */
};

/* Looks at server, database, rights and what was applied, and refuses (ERROR_USAGE, what is wrong and what to do) where migrations
 * could not run: an old server, an encoding other than UTF8, rights that are missing, tables of these names that are not ours.
 * Changes nothing. */
bool schema_look(PGconn *conn, struct schema_ground *ground, struct error *err);

/* Applies what is missing, each migration in one transaction with its row. Waits for another migrate that is at work; *done counts
 * the migrations that this call applied. */
bool schema_apply(PGconn *conn, int *done, struct error *err);

/* Gives objects that another than tallymill_admin owns (a restore with --no-owner) back to it; *given counts them. ERROR_USAGE where this login may not: the
 * message names an object, its owner and the remedy. */
bool schema_claim_objects(PGconn *conn, int *given, struct error *err);

#endif
