/* migrations.c - see migrations.h; and the check that a database has this program's schema (postgres.h).
 *
 * The lists are made by the build from the files themselves (cmake/embed_migrations.cmake, cmake/embed_schema_objects.cmake), so
 * that a new file needs no other edit. A program's level is the number of migrations it carries. Whether it may run on newer tables
 * is the schema's to say (min_program), because only the newer release knows what it changed.
 *
 * Functions and views have no number: which text is the newer one is known by the release that applied it, and by the checksums
 * that it had before. So a worker of the release before goes on when they were replaced, and one of the next release asks for a
 * migrate. Rejected: a number in each file, which two branches would count up to the same.
 */
#include "common/migrations.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/clock.h"
#include "common/postgres.h"

#define ASK_US (30 * CLOCK_SECOND_US)

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

extern struct schema_object schema_object_list[];
extern const size_t schema_object_count;

static pthread_once_t measure_once = PTHREAD_ONCE_INIT;

const char *schema_checksum(char checksum[SCHEMA_CHECKSUM_BYTES], const char *text, size_t length)
{
    XXH128_hash_t hash = XXH3_128bits(text, length);
    snprintf(checksum, SCHEMA_CHECKSUM_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
    return checksum;
}

static void measure(void)
{
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        migrations[i].length = strlen(migrations[i].sql);
    for (size_t i = 0; i < schema_object_count; i++)
        schema_checksum(schema_object_list[i].checksum, schema_object_list[i].sql, schema_object_list[i].length);
}

const struct migration *postgres_migrations(size_t *count)
{
    pthread_once(&measure_once, measure);
    *count = MIGRATION_COUNT;
    return migrations;
}

const struct schema_object *postgres_schema_objects(size_t *count)
{
    pthread_once(&measure_once, measure);
    *count = schema_object_count;
    return schema_object_list;
}

/* Releases by their numbers: "0.10.0" is newer than "0.9.3", and whatever is none is older than both. */
static int compare_releases(const char *a, const char *b)
{
    for (int part = 0; part < 3; part++) {
        char *a_end, *b_end;
        const long left = strtol(a, &a_end, 10), right = strtol(b, &b_end, 10);
        if (left != right)
            return left < right ? -1 : 1;
        a = *a_end == '.' ? a_end + 1 : a_end;
        b = *b_end == '.' ? b_end + 1 : b_end;
    }
    return 0;
}

bool schema_object_find(const PGresult *result, const char *name, struct applied_object *applied)
{
    for (int row = 0; row < PQntuples(result); row++) {
        if (strcmp(PQgetvalue(result, row, 0), name) == 0) {
            *applied = (struct applied_object){.name = PQgetvalue(result, row, 0),
                                               .checksum = PQgetvalue(result, row, 1),
                                               .release = PQgetvalue(result, row, 2),
                                               .earlier = PQgetvalue(result, row, 3)};
            return true;
        }
    }
    return false;
}

enum object_state schema_object_state(const struct schema_object *object, const struct applied_object *applied, const char *release)
{
    if (applied == NULL)
        return OBJECT_MISSING;
    if (strcmp(applied->checksum, object->checksum) == 0)
        return OBJECT_CURRENT;
    const int order = compare_releases(applied->release, release);
    return order > 0 || (order == 0 && strstr(applied->earlier, object->checksum) != NULL) ? OBJECT_NEWER : OBJECT_OLDER;
}

static int integer_at(const PGresult *result, int column)
{
    return (int)strtol(PQgetvalue(result, 0, column), NULL, 10);
}

static bool refuse_unread(PGconn *conn, struct error *err)
{
    if (postgres_is(err, POSTGRES_NO_SCHEMA))
        return error_set(err, ERROR_USAGE, "database %s has no Tallymill schema; run: tallymill migrate", PQdb(conn));
    if (postgres_is(err, POSTGRES_NO_RIGHT))
        return error_wrap(err, "the login %s may not read the schema of database %s", PQuser(conn), PQdb(conn));
    return error_wrap(err, "cannot read the schema's version");
}

/* *version: how many migrations the database has. */
static bool check_tables(PGconn *conn, int *version, struct error *err)
{
    PGresult *result = postgres_query(conn,
                                      "SELECT coalesce(max(version), 0), coalesce(max(min_program), 0), "
                                      "coalesce(min(name) FILTER (WHERE version = 1), '') FROM tallymill.schema_version",
                                      ASK_US, err);
    if (result == NULL)
        return refuse_unread(conn, err);
    *version = integer_at(result, 0);
    const int min_program = integer_at(result, 1);
    const bool is_other = *version > 0 && strcmp(PQgetvalue(result, 0, 2), migrations[0].name) != 0;
    PQclear(result);
    if (is_other)
        return error_set(err, ERROR_USAGE, SCHEMA_MADE_BEFORE, PQdb(conn));
    if (*version < MIGRATION_COUNT)
        return error_set(err, ERROR_USAGE,
                         "the schema of database %s is at migration %d, this program needs %d; run: tallymill migrate", PQdb(conn),
                         *version, MIGRATION_COUNT);
    if (min_program > MIGRATION_COUNT)
        return error_set(
            err, ERROR_USAGE,
            "the schema of database %s (migration %d) wants a newer program: one that knows migration %d, this one knows %d",
            PQdb(conn), *version, min_program, MIGRATION_COUNT);
    return true;
}

static bool check_objects(PGconn *conn, struct error *err)
{
    size_t count;
    const struct schema_object *objects = postgres_schema_objects(&count);
    PGresult *result = postgres_query(conn, SCHEMA_OBJECTS_QUERY, ASK_US, err);
    if (result == NULL)
        return refuse_unread(conn, err);
    const char *first = NULL;
    size_t lacking = 0;
    for (size_t i = 0; i < count; i++) {
        struct applied_object applied;
        const bool is_there = schema_object_find(result, objects[i].name, &applied);
        const enum object_state state = schema_object_state(&objects[i], is_there ? &applied : NULL, TALLYMILL_VERSION);
        if (state == OBJECT_MISSING || state == OBJECT_OLDER) {
            first = first != NULL ? first : objects[i].name;
            lacking++;
        }
    }
    PQclear(result);
    return lacking == 0 ||
           error_set(err, ERROR_USAGE,
                     "%zu functions and views of database %s are older than this program, the first is %s; run: tallymill migrate",
                     lacking, PQdb(conn), first);
}

bool postgres_check_schema(PGconn *conn, struct error *err)
{
    int version = 0;
    /* Newer tables came with a newer release, which knows what it did to the functions. */
    return check_tables(conn, &version, err) && (version > MIGRATION_COUNT || check_objects(conn, err));
}
