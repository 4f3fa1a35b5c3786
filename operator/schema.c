/* schema.c - see schema.h.
 *
 * Invariant: a migration and its row in tallymill.schema_version commit together, and while one is applied no other migrate looks
 * at the list. The lock is taken inside each transaction, before the list is read in a statement (and so a snapshot) of its own:
 * two migrates at once take turns, and the second finds the work done. A session lock would be simpler to hold across all
 * migrations, but a transaction pooler would leave it behind on a connection that somebody else gets next.
 */
#include "operator/schema.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/clock.h"
#include "common/postgres_begin.h"
#include "operator/answer.h"

extern const char migrate_ground_sql[], migrate_owners_sql[];

enum { OLDEST_SERVER = 150000, ATTEMPTS = 5, PAUSE_MS = 300 };

#define SHORT_US (30 * CLOCK_SECOND_US)
#define LOCK_US  (120 * CLOCK_SECOND_US)
#define APPLY_US (3600 * CLOCK_SECOND_US)

const char *schema_checksum(char checksum[SCHEMA_CHECKSUM_BYTES], const char *text, size_t length)
{
    XXH128_hash_t hash = XXH3_128bits(text, length);
    snprintf(checksum, SCHEMA_CHECKSUM_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
    return checksum;
}

bool schema_compare(const struct migration *migrations, size_t count, const struct applied_migration *applied, size_t applied_count,
                    struct error *err)
{
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

/* Reads schema_version and compares it with the program's migrations; *applied_count says how many are there. */
static bool compare_applied(PGconn *conn, bool has_schema, size_t *applied_count, struct error *err)
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
    is_same = schema_compare(migrations, count, applied, rows, err);
    *applied_count = rows;
out:
    free(applied);
    PQclear(result);
    return is_same;
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
                         "public.analytics_events is there already and is not partitioned: migrate cannot take existing events "
                         "over yet; rename it, or use "
                         "another database");
    }
    if (answer_bool(ground, 0, "has_daily_stats")) {
        return error_set(err, ERROR_USAGE,
                         "table public.analytics_daily_stats is there already and was not made by tallymill migrate: rename it, or "
                         "use another database");
    }
    return true;
}

/* What the first migration needs of the login. Later ones need no more than to be a member of tallymill_admin. */
static bool check_rights(const PGresult *ground, struct error *err)
{
    const char *login = answer_text(ground, 0, "login"), *database = answer_text(ground, 0, "database");
    const char *missing = answer_text(ground, 0, "missing_roles");
    bool may_create_roles = answer_bool(ground, 0, "may_create_roles");
    if (answer_bool(ground, 0, "has_schema")) {
        return answer_bool(ground, 0, "is_admin") ||
               error_set(err, ERROR_USAGE,
                         "login %s is no member of tallymill_admin: have a superuser run GRANT tallymill_admin TO \"%s\"", login,
                         login);
    }
    const char *grants = answer_text(ground, 0, "lacking_grants");
    if (grants[0] != '\0') {
        return error_set(err, ERROR_USAGE,
                         "the roles of Tallymill are there already, made by somebody else, and login %s may not act as them: have a superuser%s%s run %s", login,
                         answer_text(ground, 0, "grantors")[0] != '\0' ? " or " : "", answer_text(ground, 0, "grantors"), grants);
    }
    if (missing[0] != '\0' && !may_create_roles) {
        return error_set(
            err, ERROR_USAGE,
            "login %s may not create the roles %s: have a superuser run ALTER ROLE \"%s\" CREATEROLE, or create them (NOLOGIN)",
            login, missing, login);
    }
    if (!may_create_roles && !answer_bool(ground, 0, "is_admin")) {
        return error_set(err, ERROR_USAGE,
                         "login %s is no member of tallymill_admin: have a superuser run GRANT tallymill_admin TO \"%s\"", login,
                         login);
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

bool schema_look(PGconn *conn, struct schema_ground *ground, struct error *err)
{
    *ground = (struct schema_ground){0};
    PGresult *result = postgres_query(conn, migrate_ground_sql, SHORT_US, err);
    if (!result) {
        return false;
    }
    size_t applied = 0, known = 0;
    const struct migration *migrations = postgres_migrations(&known);
    ground->has_schema = answer_bool(result, 0, "has_schema");
    ground->known = migrations[known - 1].version;
    snprintf(ground->database, sizeof ground->database, "%s", answer_text(result, 0, "database"));
    bool is_fine = check_server(result, err) && (ground->has_schema || refuse_strangers(result, err)) &&
                   check_rights(result, err) && compare_applied(conn, ground->has_schema, &applied, err);
    ground->version = applied > 0 ? migrations[applied - 1].version : 0;
    PQclear(result);
    return is_fine;
}

/* Runs one migration and notes it, inside the transaction of the caller. */
static bool apply_one(PGconn *conn, const struct migration *migration, struct error *err)
{
    char checksum[SCHEMA_CHECKSUM_BYTES], version[16], min_program[16];
    snprintf(version, sizeof version, "%d", migration->version);
    snprintf(min_program, sizeof min_program, "%d", migration->min_program);
    const char *const values[] = {version, migration->name, schema_checksum(checksum, migration->sql, migration->length),
                                  min_program};
    if (!postgres_exec(conn, migration->sql, APPLY_US, err) ||
        !postgres_exec(conn, "SET LOCAL ROLE tallymill_admin", SHORT_US, err)) {
        /* What Postgres refuses here is a matter of the schema that it found, whatever the SQLSTATE would mean for a row. */
        err->kind = err->kind == ERROR_RETRY ? ERROR_RETRY : ERROR_USAGE;
        return error_wrap(err, "migration %s", migration->name);
    }
    PGresult *result = postgres_query_params(
        conn, "INSERT INTO tallymill.schema_version (version, name, checksum, min_program) VALUES ($1, $2, $3, $4)", 4, values,
        SHORT_US, err);
    PQclear(result);
    return result || error_wrap(err, "noting migration %s", migration->name);
}

/* One transaction: the next missing migration, or nothing when all are there (*is_done). A lock that a running program holds is not
 * waited for longer than 5 s, because everybody else would queue behind us. */
static bool apply_next(PGconn *conn, bool *is_done, struct error *err)
{
    size_t applied = 0, count = 0;
    const struct migration *migrations = postgres_migrations(&count);
    *is_done = false;
    if (!postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL client_min_messages = warning", SHORT_US, err)) {
        return false;
    }
    if (!postgres_exec(conn,
                       "SET LOCAL lock_timeout = 0; SELECT "
                       "pg_advisory_xact_lock(hashtextextended('tallymill.migrate', 0))",
                       LOCK_US, err)) {
        return error_wrap(err, "waiting for another tallymill migrate");
    }
    PGresult *there =
        postgres_query(conn, "SELECT to_regclass('tallymill.schema_version') IS NOT NULL AS has_schema", SHORT_US, err);
    bool has_schema = there && answer_bool(there, 0, "has_schema");
    PQclear(there);
    if (!there || !compare_applied(conn, has_schema, &applied, err)) {
        return false;
    }
    if (applied == count) {
        *is_done = true;
        return postgres_exec(conn, "ROLLBACK", SHORT_US, err);
    }
    return postgres_exec(conn, "SET LOCAL lock_timeout = '5s'", SHORT_US, err) && apply_one(conn, &migrations[applied], err) &&
           postgres_exec(conn, "COMMIT", SHORT_US, err);
}

/* Worth another try: a lock, a deadlock, and what two databases of one server do to each other when both make the roles ("tuple
 * concurrently updated" has the SQLSTATE of an internal error, a role that both grant is a unique violation). */
static bool may_pass(const PGconn *conn, const struct error *err)
{
    return PQstatus(conn) == CONNECTION_OK &&
           (err->kind == ERROR_RETRY || strcmp(err->sqlstate, "XX000") == 0 || strcmp(err->sqlstate, "23505") == 0);
}

static void roll_back(PGconn *conn)
{
    struct error ignored = {0};
    postgres_exec(conn, "ROLLBACK", SHORT_US, &ignored);
}

/* In one transaction: every statement of the list, or none. */
static bool give_back(PGconn *conn, const PGresult *owners, struct error *err)
{
    bool is_given = postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL client_min_messages = warning", SHORT_US, err);
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
    PGresult *there = postgres_query(conn, "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                           "WHERE n.nspname = 'tallymill' AND c.relname = 'schema_version') AS has_schema", SHORT_US, err);
    const bool has_schema = there && answer_bool(there, 0, "has_schema"), is_asked = there != NULL;
    PQclear(there);
    if (!is_asked || !has_schema) {
        return is_asked;
    }
    PGresult *owners = postgres_query(conn, migrate_owners_sql, SHORT_US, err);
    bool is_fine = owners != NULL;
    const int count = owners ? PQntuples(owners) : 0;
    if (count > 0 && !answer_bool(owners, 0, "may_give")) {
        const char *owner = answer_text(owners, 0, "owner");
        is_fine = error_set(err, ERROR_USAGE,
                            "%s belongs to %s, not to tallymill_admin, and so do %d other objects (a restore with --no-owner does that): run tallymill migrate "
                            "once as a superuser, or as %s after GRANT tallymill_admin TO \"%s\": it gives them back",
                            answer_text(owners, 0, "what"), owner, count - 1, owner, owner);
    } else if (count > 0) {
        is_fine = give_back(conn, owners, err);
        *given = is_fine ? count : 0;
    }
    PQclear(owners);
    return is_fine;
}

bool schema_apply(PGconn *conn, int *done, struct error *err)
{
    bool is_done = false;
    *done = 0;
    for (int failures = 0; !is_done;) {
        error_clear(err);
        if (apply_next(conn, &is_done, err)) {
            *done += is_done ? 0 : 1;
            continue;
        }
        roll_back(conn);
        if (++failures == ATTEMPTS || !may_pass(conn, err)) {
            return false;
        }
        poll(NULL, 0, PAUSE_MS * failures);
    }
    return true;
}
