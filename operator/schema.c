/* schema.c - see schema.h: what stands in the way, and what a database has of the schema; schema_apply.c applies the rest.
 *
 * Everything is looked at before anything is changed: a refusal leaves the database as it was.
 */
#include "operator/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "operator/answer.h"

extern const char migrate_ground_sql[], migrate_owners_sql[];

enum { OLDEST_SERVER = 150000 };

#define SHORT_US (30 * CLOCK_SECOND_US)

bool schema_compare(const struct migration *migrations, size_t count, const struct applied_migration *applied, size_t applied_count,
                    const char *database, struct error *err)
{
    if (applied_count > 0 && applied[0].version == migrations[0].version && strcmp(applied[0].name, migrations[0].name) != 0) {
        return error_set(err, ERROR_USAGE, SCHEMA_MADE_BEFORE, database);
    }
    for (size_t i = 0; i < applied_count; i++) {
        if (i >= count) {
            return error_set(err, ERROR_USAGE,
                             "the schema is of a newer release (version %d, this program knows %zu): nothing was changed; use that "
                             "release's tallymill",
                             applied[applied_count - 1].version, count);
        }
        if (applied[i].version != migrations[i].version) {
            return error_set(err, ERROR_USAGE,
                             "migration %s was never applied, though version %d was: tallymill.schema_version has lost a row",
                             migrations[i].name, applied[i].version);
        }
        char checksum[SCHEMA_CHECKSUM_BYTES];
        schema_checksum(checksum, migrations[i].sql, migrations[i].length);
        if (strcmp(applied[i].checksum, checksum) != 0) {
            return error_set(err, ERROR_USAGE,
                             "migration %s was changed after it was applied to this database: nothing was done; take the unchanged "
                             "program, or another "
                             "database",
                             migrations[i].name);
        }
    }
    return true;
}

bool schema_read_migrations(PGconn *conn, bool has_schema, size_t *applied_count, struct error *err)
{
    *applied_count = 0;
    if (!has_schema) {
        return true;
    }
    PGresult *result = postgres_query(
        conn, "SELECT version, name, checksum, min_program FROM tallymill.schema_version ORDER BY version", SHORT_US, err);
    if (!result) {
        return error_wrap(err,
                          "reading tallymill.schema_version (use the login that made the schema, or a member of tallymill_admin)");
    }
    size_t rows = (size_t)PQntuples(result), count = 0;
    const struct migration *migrations = postgres_migrations(&count);
    struct applied_migration *applied = calloc(rows + 1, sizeof *applied);
    bool is_same = false;
    if (!applied) {
        error_set(err, ERROR_RETRY, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < rows; i++) {
        applied[i] = (struct applied_migration){.version = (int)answer_int(result, (int)i, "version"),
                                                .name = answer_text(result, (int)i, "name"),
                                                .checksum = answer_text(result, (int)i, "checksum"),
                                                .min_program = (int)answer_int(result, (int)i, "min_program")};
    }
    is_same = schema_compare(migrations, count, applied, rows, PQdb(conn), err);
    *applied_count = rows;
out:
    free(applied);
    PQclear(result);
    return is_same;
}

bool schema_is_due(const struct schema_object *object, const PGresult *applied)
{
    struct applied_object row;
    const bool is_there = applied && schema_object_find(applied, object->name, &row);
    const enum object_state state = schema_object_state(object, is_there ? &row : NULL, TALLYMILL_VERSION);
    return state == OBJECT_MISSING || state == OBJECT_OLDER;
}

/* A newer release has replaced it, and would be undone. */
static bool refuse_newer(const struct schema_object *object, const PGresult *applied, struct error *err)
{
    struct applied_object row;
    if (!schema_object_find(applied, object->name, &row) || schema_object_state(object, &row, TALLYMILL_VERSION) != OBJECT_NEWER) {
        return true;
    }
    return error_set(err, ERROR_USAGE,
                     "the schema is of a newer release: tallymill %s replaced %s of this one (%s): nothing was changed; use that "
                     "release's tallymill",
                     row.release, object->name, TALLYMILL_VERSION);
}

bool schema_read_objects(PGconn *conn, bool has_schema, PGresult **applied, int *due, struct error *err)
{
    size_t count = 0;
    const struct schema_object *objects = postgres_schema_objects(&count);
    *due = 0;
    *applied = has_schema ? postgres_query(conn, SCHEMA_OBJECTS_QUERY, SHORT_US, err) : NULL;
    if (has_schema && !*applied) {
        return error_wrap(err, "reading tallymill.schema_objects");
    }
    for (size_t i = 0; i < count; i++) {
        if (*applied && !refuse_newer(&objects[i], *applied, err)) {
            PQclear(*applied);
            *applied = NULL;
            return false;
        }
        *due += schema_is_due(&objects[i], *applied) ? 1 : 0;
    }
    return true;
}

/* Tables of our names that we did not make. */
static bool refuse_strangers(const PGresult *ground, struct error *err)
{
    const char *kind = answer_text(ground, 0, "events_kind");
    if (kind[0] == 'p') {
        return error_set(
            err, ERROR_USAGE,
            "table public.analytics_events is there already and was not made by tallymill migrate: rename it, or use another "
            "database");
    }
    if (kind[0] != '\0') {
        return error_set(err, ERROR_USAGE,
                         "public.analytics_events is there already and is not ours: tallymill adopt takes it over beside its "
                         "writers (tallymill adopt --plan says how); or "
                         "rename it, or use another database");
    }
    if (answer_bool(ground, 0, "has_daily_stats")) {
        return error_set(err, ERROR_USAGE,
                         "table public.analytics_daily_stats is there already and was not made by tallymill migrate: rename it, or "
                         "use another database");
    }
    return true;
}

/* While a table is taken over, ours stands in another schema, and what is in `public` is not ours to touch. */
static bool refuse_adoption(const PGresult *ground, struct error *err)
{
    return !answer_bool(ground, 0, "is_adopting") || error_set(err, ERROR_USAGE,
                                                               "an adoption of analytics_events is under way: tallymill adopt goes "
                                                               "on with it, tallymill adopt --abandon gives it up");
}

/* What the first migration needs of the login. Later ones need no more than to be a member of tallymill_admin. */
static bool check_rights(const PGresult *ground, struct error *err)
{
    const char *login = answer_text(ground, 0, "login"), *database = answer_text(ground, 0, "database");
    const char *missing = answer_text(ground, 0, "missing_roles");
    if (answer_bool(ground, 0, "has_schema")) {
        return answer_bool(ground, 0, "is_admin") ||
               error_set(err, ERROR_USAGE,
                         "login %s is no member of tallymill_admin: have a superuser run GRANT tallymill_admin TO \"%s\"", login,
                         login);
    }
    if (!answer_bool(ground, 0, "may_create_roles")) { /* which Postgres asks for even where they are there */
        return error_set(err, ERROR_USAGE,
                         "login %s may not create roles (missing: %s): have a superuser run ALTER ROLE \"%s\" CREATEROLE", login,
                         missing[0] != '\0' ? missing : "none, but the first migration looks by trying", login);
    }
    const char *grants = answer_text(ground, 0, "lacking_grants");
    if (grants[0] != '\0') {
        return error_set(err, ERROR_USAGE,
                         "the roles of Tallymill are there already, made by somebody else, and login %s may not act as them: have "
                         "a superuser%s%s run %s",
                         login, answer_text(ground, 0, "grantors")[0] != '\0' ? " or " : "", answer_text(ground, 0, "grantors"),
                         grants);
    }
    if (!answer_bool(ground, 0, "may_grant_public") && answer_bool(ground, 0, "owns_database")) {
        return error_set(
            err, ERROR_USAGE,
            "login %s may not hand out rights on schema public of database %s, which belongs to %s: have a superuser run "
            "ALTER SCHEMA public OWNER TO pg_database_owner",
            login, database, answer_text(ground, 0, "public_owner"));
    }
    if (!answer_bool(ground, 0, "may_create_schema") || !answer_bool(ground, 0, "may_grant_public")) {
        return error_set(err, ERROR_USAGE,
                         "login %s may not create a schema in database %s or hand out rights on its schema public: have a "
                         "superuser run ALTER DATABASE \"%s\" "
                         "OWNER TO \"%s\"",
                         login, database, database, login);
    }
    return true;
}

/* An adoption puts `public` aside while it makes the schema. */
static bool check_owner_of_public(const PGresult *ground, struct error *err)
{
    const bool owns_database = answer_bool(ground, 0, "owns_database");
    return answer_bool(ground, 0, "owns_public") ||
           error_set(
               err, ERROR_USAGE,
               "schema public belongs to %s, and login %s may not alter it: have a superuser run ALTER SCHEMA public OWNER TO "
               "\"%s\"",
               answer_text(ground, 0, "public_owner"), answer_text(ground, 0, "login"),
               owns_database ? "pg_database_owner" : answer_text(ground, 0, "login"));
}

static bool check_server(const PGresult *ground, struct error *err)
{
    if (answer_int(ground, 0, "server_version") < OLDEST_SERVER) {
        return error_set(err, ERROR_USAGE, "the server is PostgreSQL %s: 15 or newer is needed",
                         answer_text(ground, 0, "server_version_text"));
    }
    if (answer_bool(ground, 0, "is_standby")) {
        return error_set(
            err, ERROR_USAGE,
            "the server is a standby and cannot be written to: connect to the primary (target_session_attrs=read-write)");
    }
    if (strcmp(answer_text(ground, 0, "encoding"), "UTF8") != 0) {
        return error_set(err, ERROR_USAGE, "database %s is encoded in %s: events may hold any character, so it must be UTF8",
                         answer_text(ground, 0, "database"), answer_text(ground, 0, "encoding"));
    }
    return true;
}

static bool look(PGconn *conn, struct schema_ground *ground, bool is_beside, struct error *err)
{
    *ground = (struct schema_ground){0};
    PGresult *result = postgres_query(conn, migrate_ground_sql, SHORT_US, err), *objects = NULL;
    if (!result) {
        return false;
    }
    size_t applied = 0, known = 0;
    const struct migration *migrations = postgres_migrations(&known);
    ground->has_schema = answer_bool(result, 0, "has_schema");
    ground->known = migrations[known - 1].version;
    snprintf(ground->database, sizeof ground->database, "%s", answer_text(result, 0, "database"));
    bool is_fine = check_server(result, err) && refuse_adoption(result, err) &&
                   (ground->has_schema || is_beside || refuse_strangers(result, err)) && check_rights(result, err) &&
                   schema_read_migrations(conn, ground->has_schema, &applied, err) &&
                   schema_read_objects(conn, ground->has_schema, &objects, &ground->objects_due, err) &&
                   (!is_beside || check_owner_of_public(result, err));
    ground->version = applied > 0 ? migrations[applied - 1].version : 0;
    PQclear(objects);
    PQclear(result);
    return is_fine;
}

bool schema_look(PGconn *conn, struct schema_ground *ground, struct error *err)
{
    return look(conn, ground, false, err);
}

bool schema_look_beside(PGconn *conn, struct schema_ground *ground, struct error *err)
{
    return look(conn, ground, true, err);
}

static void roll_back(PGconn *conn)
{
    struct error ignored = {0};
    error_ignore(postgres_exec(conn, "ROLLBACK", SHORT_US, &ignored));
}

/* In one transaction: every statement of the list, or none. */
static bool give_back(PGconn *conn, const PGresult *owners, struct error *err)
{
    bool is_given =
        postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL client_min_messages = warning", SHORT_US, err);
    for (int row = 0; row < PQntuples(owners) && is_given; row++) {
        is_given = postgres_exec(conn, answer_text(owners, row, "statement"), SHORT_US, err) ||
                   error_wrap(err, "giving %s back to tallymill_admin", answer_text(owners, row, "what"));
    }
    is_given = is_given && postgres_exec(conn, "COMMIT", SHORT_US, err);
    if (!is_given) {
        roll_back(conn);
    }
    return is_given;
}

bool schema_claim_objects(PGconn *conn, int *given, struct error *err)
{
    *given = 0;
    PGresult *there = postgres_query(conn,
                                     "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                     "WHERE n.nspname = 'tallymill' AND c.relname = 'schema_version') AS has_schema, "
                                     "to_regclass('tallymill_adopt.analytics_events') IS NOT NULL AS is_adopting",
                                     SHORT_US, err);
    const bool has_schema = there && answer_bool(there, 0, "has_schema"), is_fine_so_far = there && refuse_adoption(there, err);
    PQclear(there);
    if (!is_fine_so_far || !has_schema) {
        return is_fine_so_far;
    }
    PGresult *owners = postgres_query(conn, migrate_owners_sql, SHORT_US, err);
    bool is_fine = owners != NULL;
    const int count = owners ? PQntuples(owners) : 0;
    if (count > 0 && !answer_bool(owners, 0, "may_give")) {
        const char *owner = answer_text(owners, 0, "owner");
        is_fine = error_set(err, ERROR_USAGE,
                            "%s belongs to %s, not to tallymill_admin, and so do %d other objects (a restore with --no-owner does "
                            "that): run tallymill migrate "
                            "once as a superuser, or as %s after GRANT tallymill_admin TO \"%s\": it gives them back",
                            answer_text(owners, 0, "what"), owner, count - 1, owner, owner);
    } else if (count > 0) {
        is_fine = give_back(conn, owners, err);
        *given = is_fine ? count : 0;
    }
    PQclear(owners);
    return is_fine;
}
