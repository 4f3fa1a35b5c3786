/* migrations.c - the SQL files of schemas/sql as the program carries them, and the check that a database has them. See postgres.h.
 *
 * The list is made by the build from the files themselves (cmake/embed_migrations.cmake), so that a new file is a new migration and
 * nothing else needs editing. A program's level is the number of migrations it carries. Whether it may run on a newer schema
 * is the schema's to say (min_program), because only the newer release knows what it changed.
 */
#include "common/postgres.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define MIGRATION(version, name, symbol, min_program) extern const char symbol[];
#include "migration_list.inc"
#undef MIGRATION
#define MIGRATION(version, name, symbol, min_program) {version, name, symbol, 0, min_program},
static struct migration migrations[] = {
#include "migration_list.inc"
    {0, NULL, NULL, 0, 0},
};
#undef MIGRATION

enum { MIGRATION_COUNT = sizeof migrations / sizeof migrations[0] - 1 };

static pthread_once_t measure_once = PTHREAD_ONCE_INIT;

static void measure(void)
{
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        migrations[i].length = strlen(migrations[i].sql);
}

const struct migration *postgres_migrations(size_t *count)
{
    pthread_once(&measure_once, measure);
    *count = MIGRATION_COUNT;
    return migrations;
}

static int integer_at(const PGresult *result, int column)
{
    return (int)strtol(PQgetvalue(result, 0, column), NULL, 10);
}

bool postgres_check_schema(PGconn *conn, struct error *err)
{
    PGresult *result =
        postgres_query(conn, "SELECT coalesce(max(version), 0), coalesce(max(min_program), 0) FROM tallymill.schema_version",
                       30 * CLOCK_SECOND_US, err);
    if (result == NULL) {
        if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0)
            return error_set(err, ERROR_USAGE, "database %s has no Tallymill schema; run: tallymill migrate", PQdb(conn));
        if (strcmp(err->sqlstate, "42501") == 0)
            return error_wrap(
                err,
                "role %s may not read the schema of database %s; grant it tallymill_ingest, tallymill_aggregate or tallymill_read",
                PQuser(conn), PQdb(conn));
        return error_wrap(err, "cannot read the schema's version");
    }
    int version = integer_at(result, 0), min_program = integer_at(result, 1);
    PQclear(result);
    if (version < MIGRATION_COUNT)
        return error_set(err, ERROR_USAGE,
                         "the schema of database %s is at migration %d, this program needs %d; run: tallymill migrate", PQdb(conn),
                         version, MIGRATION_COUNT);
    if (min_program > MIGRATION_COUNT)
        return error_set(
            err, ERROR_USAGE,
            "the schema of database %s (migration %d) wants a newer program: one that knows migration %d, this one knows %d",
            PQdb(conn), version, min_program, MIGRATION_COUNT);
    return true;
}
