/* failure.c - see failure.h.
 *
 * Whose code was at work is read from the error's context, a line for each function or statement, innermost first. Its words are
 * localised and its order is not: what a COPY itself adds is a line that names the table and calls no function; any other line is
 * somebody's code: ours, where the outermost is a function of the schema tallymill. That a piece of code RAISEd is recognised by
 * the server's source file (PG_DIAG_SOURCE_FILE), which is not localised. To ask the catalogue for the owner of each constraint was
 * rejected: the transaction is over, and the answer could be another by then.
 */
#include "consumer/failure.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/postgres.h"
#include "common/utf8.h"

enum { NAME_LONGEST = 63 /* bytes of a name in Postgres */ };

void failure_clear(struct failure *failure)
{
    *failure = (struct failure){.guessed_row = -1};
}

static void copy_field(char *to, size_t room, const PGresult *result, int field)
{
    const char *value = PQresultErrorField(result, field);
    utf8_copy(to, room, value ? value : "");
}

/* COPY's own line: `COPY analytics_events, line 5001, column event_data`. Of all languages that Postgres speaks, one has another
 * word for it. */
static bool is_copy_line(const char *line, size_t length)
{
    static const char korean[] = "복사";
    return (memmem(line, length, "COPY", 4) || memmem(line, length, korean, sizeof korean - 1)) && !memchr(line, '(', length) &&
           (memmem(line, length, "analytics_events", 16) || memmem(line, length, "dead_letters", 12));
}

/* A function by its name and types: `PL/pgSQL function public.f(text) line 3 at RAISE`. Statements are left out, for they may quote
 * what they were made of. */
static bool is_function_line(const char *line, size_t length)
{
    return memchr(line, '(', length) && !memchr(line, '"', length) && !memchr(line, '\'', length);
}

/* Whether the outermost line is a function of ours, by its name: `PL/pgSQL function tallymill.commit_batch(bigint) line 4 at ...`;
 * that one also where the schema is in the login's search_path. A line further in may quote a statement, and so whatever an event
 * says. */
static bool is_ours(const char *line, size_t length)
{
    static const char schema[] = "tallymill.", commit[] = "commit_batch";
    const char *arguments = memchr(line, '(', length);
    const size_t before = arguments ? (size_t)(arguments - line) : 0;
    const char *at = memmem(line, before, schema, sizeof schema - 1);
    if (!at && before >= sizeof commit - 1 && memcmp(arguments - (sizeof commit - 1), commit, sizeof commit - 1) == 0)
        at = arguments - (sizeof commit - 1);
    return at && (at == line || !(isalnum((unsigned char)at[-1]) || strchr("_$.", at[-1])));
}

enum failure_code failure_code(const char *context, char place[FAILURE_PLACE_BYTES])
{
    enum failure_code code = CODE_OF_NOBODY;
    place[0] = '\0';
    for (const char *line = context; *line;) {
        const size_t length = strcspn(line, "\n");
        if (!is_copy_line(line, length)) {
            code = is_ours(line, length) ? CODE_OF_BOOKS : CODE_OF_USER;
            if (!place[0] && is_function_line(line, length)) {
                const size_t whole = utf8_whole(line, length, FAILURE_PLACE_BYTES - 1);
                memcpy(place, line, whole);
                place[whole] = '\0';
            }
        }
        line += length + (line[length] == '\n');
    }
    return code;
}

/* As Postgres names it: the table's name, cut where both would be too long, and "_pkey". */
static bool is_primary_key(const struct failure *failure)
{
    static const char suffix[] = "_pkey";
    const size_t length = strlen(failure->constraint), stem = length >= sizeof suffix - 1 ? length - (sizeof suffix - 1) : 0;
    return stem > 0 && strcmp(failure->constraint + stem, suffix) == 0 && strncmp(failure->constraint, failure->table, stem) == 0 &&
           (failure->table[stem] == '\0' || length == NAME_LONGEST);
}

static enum failure_owner owner_of(const struct failure *failure, enum failure_code code)
{
    if (code != CODE_OF_NOBODY)
        return code == CODE_OF_BOOKS ? OWNER_BOOKS : OWNER_USER;
    if (strcmp(failure->schema, "tallymill") == 0)
        return !failure->constraint[0] || is_primary_key(failure) ? OWNER_BOOKS : OWNER_USER;
    /* Without code at work it is a table partition of the events, whatever its schema and name. */
    if (postgres_is(&failure->error, POSTGRES_UNIQUE) && is_primary_key(failure))
        return OWNER_KEY;
    return failure->constraint[0] ? OWNER_USER : OWNER_SERVER;
}

/* RAISE and ASSERT of PL/pgSQL, plpy.error, die of Perl, error of Tcl. */
static bool is_raised(const PGresult *result)
{
    static const char *const files[] = {"pl_exec.c", "plpy_elog.c", "plperl.c", "pltcl.c", NULL};
    return postgres_said_in(result, files);
}

/* The context of an error in COPY names the table, then the line: `COPY analytics_events, line 5001, column ...`, the words in the
 * server's language. The first number behind the first comma is taken for it, and is no more than a guess. */
static int guess_row(const char *context)
{
    const char *at = strstr(context, "COPY analytics_events,");
    at = at && (at == context || at[-1] == '\n') ? strchr(at, ',') : NULL;
    at = at ? strpbrk(at, "0123456789\n") : NULL;
    const long line = at && *at != '\n' ? strtol(at, NULL, 10) : 0;
    return line > 0 && line <= INT_MAX ? (int)line - 1 : -1;
}

/* Somebody's code meets a table with row security while row_security is off (whoever set that, it is not we): a matter of settings,
 * never of a row. So it waits as for a want of the server's, and says which table. */
static void read_row_security(struct failure *failure, const PGresult *result)
{
    static const char *const files[] = {"rls.c", NULL};
    if (!postgres_is(&failure->error, POSTGRES_NO_RIGHT) || !postgres_said_in(result, files))
        return;
    error_set(&failure->error, ERROR_RETRY,
              "%s: the code of a trigger or a rule meets row security with row_security = off, which the database or the login has "
              "set: ALTER DATABASE or ALTER ROLE ... RESET row_security",
              PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    postgres_mark(&failure->error, POSTGRES_NO_RIGHT);
}

void failure_read(struct failure *failure, const PGconn *conn, const PGresult *result, enum failure_step step)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    failure_clear(failure);
    failure->step = step;
    postgres_error(&failure->error, conn, result);
    copy_field(failure->detail, sizeof failure->detail, result, PG_DIAG_MESSAGE_DETAIL);
    copy_field(failure->schema, sizeof failure->schema, result, PG_DIAG_SCHEMA_NAME);
    copy_field(failure->table, sizeof failure->table, result, PG_DIAG_TABLE_NAME);
    copy_field(failure->constraint, sizeof failure->constraint, result, PG_DIAG_CONSTRAINT_NAME);
    const enum failure_code code = failure_code(context ? context : "", failure->place);
    failure->owner = owner_of(failure, code);
    if (code == CODE_OF_USER)
        read_row_security(failure, result);
    if (!failure->table[0] && (step == FAILURE_ROWS || step == FAILURE_DEAD_LETTERS)) {
        strcpy(failure->schema, step == FAILURE_ROWS ? "public" : "tallymill");
        strcpy(failure->table, step == FAILURE_ROWS ? "analytics_events" : "dead_letters");
    }
    failure->was_raised = failure->owner == OWNER_USER && code == CODE_OF_USER && is_raised(result);
    failure->guessed_row = context ? guess_row(context) : -1;
}

void failure_kept_out(struct failure *failure, enum failure_step step, long stored, long sent)
{
    failure_clear(failure);
    failure->step = step;
    failure->owner = OWNER_USER;
    error_set(&failure->error, step == FAILURE_ROWS ? ERROR_REJECT : ERROR_RETRY,
              "of %ld rows of table %s Postgres took %ld: a trigger keeps the others out", sent,
              step == FAILURE_ROWS ? "analytics_events" : "tallymill.dead_letters", stored);
    strcpy(failure->table, step == FAILURE_ROWS ? "analytics_events" : "dead_letters");
}

void failure_changed(struct failure *failure, long stored, long sent)
{
    failure_kept_out(failure, FAILURE_ROWS, stored, sent);
    error_set(&failure->error, ERROR_REJECT,
              "of %ld rows of table analytics_events %ld stand as they were sent: a trigger changes id, created_at or batch_id of "
              "the others, or takes them away",
              sent, stored);
}

struct failure_facts failure_facts(const struct failure *failure, bool by_insert, int tries)
{
    return (struct failure_facts){.sqlstate = failure->error.sqlstate,
                                  .kind = failure->error.kind,
                                  .step = failure->step,
                                  .owner = failure->owner,
                                  .has_constraint = failure->constraint[0] != '\0',
                                  .was_raised = failure->was_raised,
                                  .by_insert = by_insert,
                                  .tries = tries};
}

/* What the server itself says for want of something (a lock, a deadlock, a disk) names tables and processes, never a row; whoever
 * waits for a lock has a line of context too. */
static bool is_servers_want(const struct failure *failure)
{
    return failure->error.kind == ERROR_RETRY && !failure->was_raised && !postgres_is(&failure->error, POSTGRES_CHECK);
}

void failure_hide(const struct failure *failure, struct error *shown)
{
    *shown = failure->error;
    if (failure->owner != OWNER_USER || !failure->error.sqlstate[0] || is_servers_want(failure))
        return;
    error_set(shown, failure->error.kind, "refused by %s%s%stable %s%s%s", failure->constraint[0] ? "constraint " : "",
              failure->constraint, failure->constraint[0] ? " of " : "", failure->table[0] ? failure->table : "(not named)",
              failure->place[0] ? ", in " : "", failure->place);
    memcpy(shown->sqlstate, failure->error.sqlstate, sizeof shown->sqlstate);
}
