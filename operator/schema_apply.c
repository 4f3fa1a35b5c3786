/* schema_apply.c - see schema.h.
 *
 * Invariant: what is applied and its row (tallymill.schema_version, tallymill.schema_objects) commit together, and meanwhile no
 * other migrate looks at the lists. The lock is taken inside each transaction, before the lists are read in a statement (and so a
 * snapshot) of its own: two migrates at once take turns, and the second finds the work done. A session lock would be simpler to
 * hold across all of them, but a transaction pooler would leave it behind on a connection that somebody else gets next.
 *
 * A step is one migration, or all functions and views that are due: running programs see the old ones together or the new ones
 * together. They are replaced, never dropped, so owner and rights stay. Tables come first: a function may use a column of its own
 * release, a migration no function (in a new database there is none yet).
 */
#include "operator/schema.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "operator/answer.h"

enum { ATTEMPTS = 5, PAUSE_MS = 300 };

#define SHORT_US (30 * CLOCK_SECOND_US)
#define LOCK_US  (120 * CLOCK_SECOND_US)
#define APPLY_US (3600 * CLOCK_SECOND_US)

/* Runs a file inside the transaction of the caller. */
static bool run_file(PGconn *conn, const char *name, const char *sql, struct error *err)
{
    if (postgres_exec(conn, sql, APPLY_US, err)) {
        return true;
    }
    /* What Postgres refuses here is a matter of the schema that it found, whatever the SQLSTATE would mean for a row. */
    err->kind = err->kind == ERROR_RETRY ? ERROR_RETRY : ERROR_USAGE;
    return error_wrap(err, "%s", name);
}

/* The role that owns the lists: the files end with RESET ROLE. */
static bool become_owner(PGconn *conn, struct error *err)
{
    return postgres_exec(conn, "SET LOCAL ROLE tallymill_admin", SHORT_US, err);
}

/* The row is not there as it was written. What names it otherwise (tallymill.kept_out) may not be there yet. */
static bool kept_out(PGconn *conn, const char *table, struct error *err)
{
    const char *const values[] = {table};
    PGresult *named = postgres_query_params(
        conn,
        "SELECT string_agg(t.said, ', ') FROM (SELECT format('trigger %I (function %s)', tgname, tgfoid::regprocedure) AS said "
        "FROM pg_trigger "
        "WHERE tgrelid = $1::regclass AND NOT tgisinternal UNION ALL "
        "SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class = $1::regclass AND ev_type <> '1') AS t",
        1, values, SHORT_US, err);
    if (!named)
        return false;
    error_set(
        err, ERROR_RETRY,
        "%s keeps rows of table %s from being as they were written, and nothing was committed: an owner of the table drops it",
        PQgetisnull(named, 0, 0) ? "something that is neither a trigger nor a rule" : PQgetvalue(named, 0, 0), table);
    postgres_mark(err, POSTGRES_KEPT_OUT);
    PQclear(named);
    return false;
}

/* Whether the row that was just noted is there: `sql` finds it by the same values. */
static bool is_noted(PGconn *conn, const char *table, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *found = postgres_query_params(conn, sql, count, values, SHORT_US, err);
    const bool is_there = found && PQntuples(found) == 1;
    PQclear(found);
    return is_there || (found && kept_out(conn, table, err));
}

static bool apply_migration(PGconn *conn, const struct migration *migration, struct error *err)
{
    char checksum[SCHEMA_CHECKSUM_BYTES], version[16], min_program[16];
    snprintf(version, sizeof version, "%d", migration->version);
    snprintf(min_program, sizeof min_program, "%d", migration->min_program);
    const char *const values[] = {version, migration->name, schema_checksum(checksum, migration->sql, migration->length),
                                  min_program};
    if (!run_file(conn, migration->name, migration->sql, err) || !become_owner(conn, err)) {
        return false;
    }
    PGresult *result = postgres_query_params(
        conn, "INSERT INTO tallymill.schema_version (version, name, checksum, min_program) VALUES ($1, $2, $3, $4)", 4, values,
        SHORT_US, err);
    PQclear(result);
    return (result && is_noted(conn, "tallymill.schema_version",
                               "SELECT FROM tallymill.schema_version v WHERE v.version = $1 AND v.name = $2 AND v.checksum = $3 "
                               "AND v.min_program = $4",
                               4, values, err)) ||
           error_wrap(err, "noting migration %s", migration->name);
}

static bool note_object(PGconn *conn, const struct schema_object *object, struct error *err)
{
    const char *const values[] = {object->name, object->checksum, TALLYMILL_VERSION};
    PGresult *result = postgres_query_params(
        conn,
        "INSERT INTO tallymill.schema_objects AS o (name, checksum, release) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE "
        "SET checksum = excluded.checksum, release = excluded.release, applied_at = excluded.applied_at, "
        "earlier = array_remove(o.earlier, excluded.checksum) || o.checksum",
        3, values, SHORT_US, err);
    PQclear(result);
    return (result && is_noted(conn, "tallymill.schema_objects",
                               "SELECT FROM tallymill.schema_objects o WHERE o.name = $1 AND o.checksum = $2 AND o.release = $3", 3,
                               values, err)) ||
           error_wrap(err, "noting %s", object->name);
}

/* All that are due, in their order. */
static bool apply_objects(PGconn *conn, const PGresult *applied, struct error *err)
{
    size_t count = 0;
    const struct schema_object *objects = postgres_schema_objects(&count);
    for (size_t i = 0; i < count; i++) {
        if (schema_is_due(&objects[i], applied) && !run_file(conn, objects[i].name, objects[i].sql, err)) {
            return false;
        }
    }
    bool is_fine = become_owner(conn, err);
    for (size_t i = 0; i < count && is_fine; i++) {
        is_fine = !schema_is_due(&objects[i], applied) || note_object(conn, &objects[i], err);
    }
    return is_fine;
}

/* Begins a step's transaction. A lock that a running program holds is not waited for longer than 5 s, because everybody else would
 * queue behind us. To compile its queries (of tables that nobody has counted yet) would take longer than to run them. */
static bool begin_step(PGconn *conn, bool *has_schema, struct error *err)
{
    if (!postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED") "; SET LOCAL client_min_messages = warning; SET LOCAL jit = off",
                       SHORT_US, err)) {
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
    *has_schema = there && answer_bool(there, 0, "has_schema");
    PQclear(there);
    return there && postgres_exec(conn, "SET LOCAL lock_timeout = '5s'", SHORT_US, err);
}

/* One transaction: the next missing migration, or all functions and views that are due; *step says which, 0 and 0 when all is
 * there. */
static bool apply_step(PGconn *conn, struct schema_done *step, struct error *err)
{
    bool has_schema = false;
    size_t applied = 0, count = 0;
    const struct migration *migrations = postgres_migrations(&count);
    PGresult *objects = NULL;
    *step = (struct schema_done){0};
    if (!begin_step(conn, &has_schema, err) || !schema_read_migrations(conn, has_schema, &applied, err)) {
        return false;
    }
    bool is_fine = true;
    if (applied < count) {
        step->migrations = 1;
        is_fine = apply_migration(conn, &migrations[applied], err);
    } else {
        is_fine = schema_read_objects(conn, true, &objects, &step->objects, err) && apply_objects(conn, objects, err);
        PQclear(objects);
    }
    return is_fine && postgres_exec(conn, "COMMIT", SHORT_US, err);
}

/* Worth another try: a lock, a deadlock, and what two databases of one server do to each other when both make the roles ("tuple
 * concurrently updated" has the SQLSTATE of an internal error, a role that both grant is a unique violation). */
static bool may_pass(const PGconn *conn, const struct error *err)
{
    return PQstatus(conn) == CONNECTION_OK &&
           (err->kind == ERROR_RETRY || postgres_is(err, POSTGRES_INTERNAL) || postgres_is(err, POSTGRES_UNIQUE));
}

bool schema_apply(PGconn *conn, struct schema_done *done, struct error *err)
{
    struct schema_done step = {.migrations = 1};
    *done = (struct schema_done){0};
    for (int failures = 0; step.migrations + step.objects > 0;) {
        error_clear(err);
        if (apply_step(conn, &step, err)) {
            done->migrations += step.migrations;
            done->objects += step.objects;
            continue;
        }
        struct error ignored = {0};
        error_ignore(postgres_exec(conn, "ROLLBACK", SHORT_US, &ignored));
        step.migrations = 1; /* not done */
        if (++failures == ATTEMPTS || !may_pass(conn, err)) {
            return false;
        }
        poll(NULL, 0, PAUSE_MS * failures);
    }
    return true;
}

/* All files one behind the other, and their rows: one message, for somebody waits. */
static char *all_files(void)
{
    char *text = NULL, checksum[SCHEMA_CHECKSUM_BYTES];
    size_t length, count;
    const struct migration *migrations = postgres_migrations(&count);
    FILE *out = open_memstream(&text, &length);
    if (!out) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s;\nRESET ROLE;\n", migrations[i].sql);
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "INSERT INTO tallymill.schema_version (version, name, checksum, min_program) VALUES (%d, '%s', '%s', %d);\n",
                migrations[i].version, migrations[i].name, schema_checksum(checksum, migrations[i].sql, migrations[i].length),
                migrations[i].min_program);
    }
    const struct schema_object *objects = postgres_schema_objects(&count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out,
                "%s;\nRESET ROLE;\nINSERT INTO tallymill.schema_objects (name, checksum, release) VALUES ('%s', '%s', '%s');\n",
                objects[i].sql, objects[i].name, objects[i].checksum, TALLYMILL_VERSION);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

bool schema_apply_here(PGconn *conn, struct error *err)
{
    char *text = all_files();
    const bool is_applied =
        (text || error_set(err, ERROR_RETRY, "no memory for the schema")) &&
        postgres_exec(conn, "SELECT pg_advisory_xact_lock(hashtextextended('tallymill.migrate', 0))", LOCK_US, err) &&
        run_file(conn, "the schema", text, err);
    free(text);
    return is_applied;
}
