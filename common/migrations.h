/* migrations.h - the schema that this program carries: the numbered files of schemas/sql, and those of schemas/functions and
 * schemas/views.
 *
 * A numbered file makes or changes tables, is applied once, and is never edited again. Of functions and views each has one file by
 * its name, which is applied again whenever its text changed: there is one place where it can be read. What a database has is in
 * tallymill.schema_version and tallymill.schema_objects; postgres_check_schema() (postgres.h) compares them. Everything here is
 * valid for the life of the process, and any thread may ask.
 */
#ifndef TALLYMILL_COMMON_MIGRATIONS_H
#define TALLYMILL_COMMON_MIGRATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

enum { SCHEMA_CHECKSUM_BYTES = 33 };

/* A numbered file. */
struct migration {
    int version;
    const char *name; /* "0001_roles.sql" */
    const char *sql;  /* NUL-terminated */
    size_t length;
    int min_program; /* how many migrations a program must know to run on this schema */
};

/* All of them, in order; a name of NULL after the last. */
const struct migration *postgres_migrations(size_t *count);

/* The file of a function or view. */
struct schema_object {
    const char *name; /* "functions/claim.sql" */
    const char *sql;  /* NUL-terminated */
    size_t length;
    char checksum[SCHEMA_CHECKSUM_BYTES];
};

/* All of them, in an order in which each finds what it names; a name of NULL after the last. */
const struct schema_object *postgres_schema_objects(size_t *count);

/* XXH3-128 of a file's text as 32 hex digits. Returns `checksum`. */
const char *schema_checksum(char checksum[SCHEMA_CHECKSUM_BYTES], const char *text, size_t length);

/* A row of tallymill.schema_objects. */
struct applied_object {
    const char *name, *checksum, *release;
    const char *earlier; /* the checksums that it had before, with a space between */
};

/* What postgres_query() is asked for them, and the row of one object in its answer (false: there is none). *applied borrows from
 * `result`. */
#define SCHEMA_OBJECTS_QUERY                                                                                                       \
    "SELECT name, checksum, release, array_to_string(earlier, ' ') FROM tallymill.schema_objects ORDER BY name"
bool schema_object_find(const PGresult *result, const char *name, struct applied_object *applied);

/* How the database's text of a function or view stands to the program's. */
enum object_state {
    OBJECT_MISSING, /* never applied */
    OBJECT_OLDER,   /* another text, and the program's was never applied: run tallymill migrate */
    OBJECT_CURRENT, /* the same */
    OBJECT_NEWER,   /* another text, applied by a newer release or after the program's own: such a program may run, and leaves it
                       alone */
};

/* `applied` NULL: there is no row of it. release: the program's own. No I/O. */
enum object_state schema_object_state(const struct schema_object *object, const struct applied_object *applied,
                                      const char *release);

/* What is said, with the database's name, where its tables were made by migrations of another numbering. */
#define SCHEMA_MADE_BEFORE "database %s was made before 0.1.0: start anew, by tallymill migrate in an empty database"

#endif
