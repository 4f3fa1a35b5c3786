/* rights.c - see rights.h.
 *
 * Rejected: to read the object out of the server's message. It is localised, says nothing of the privilege, and nothing of whether
 * the role has it.
 */
#include "common/rights.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/postgres_error.h"
#include "common/postgres_open.h"
#include "common/statement.h"

#define ASK_US     (10 * CLOCK_SECOND_US)
#define EXPLAIN_US (2 * CLOCK_SECOND_US)

extern const char rights_tsv[], missing_rights_sql[];

enum { COLUMN_IS_STATEMENT, COLUMN_IS_OF_LOGIN, COLUMN_TEXT };

/* Adds one to a list; what does not fit is counted. */
static void add(char text[RIGHTS_TEXT_BYTES], const char *one, const char *between, int *left_out)
{
    static const char rest[] = ", ... and 1000 more";
    const size_t used = strlen(text);
    if (*left_out > 0 || used + strlen(between) + strlen(one) + sizeof rest > RIGHTS_TEXT_BYTES)
        ++*left_out;
    else
        snprintf(text + used, RIGHTS_TEXT_BYTES - used, "%s%s", used > 0 ? between : "", one);
}

static void add_rest(char text[RIGHTS_TEXT_BYTES], int left_out)
{
    const size_t used = strlen(text);
    if (left_out > 0)
        snprintf(text + used, RIGHTS_TEXT_BYTES - used, "%s%d more", used > 0 ? " and " : "", left_out);
}

static void read_answer(const PGresult *answer, struct rights *rights)
{
    int rights_left = 0, statements_left = 0;
    *rights = (struct rights){0};
    for (int row = 0; row < PQntuples(answer); row++) {
        const char *text = PQgetvalue(answer, row, COLUMN_TEXT);
        if (PQgetvalue(answer, row, COLUMN_IS_STATEMENT)[0] == 't') {
            add(rights->grants, text, "; ", &statements_left);
            continue;
        }
        rights->missing++;
        rights->is_of_login = PQgetvalue(answer, row, COLUMN_IS_OF_LOGIN)[0] == 't';
        add(rights->what, text, ", ", &rights_left);
    }
    add_rest(rights->what, rights_left);
    add_rest(rights->grants, statements_left);
}

static bool ask(PGconn *conn, const char *role, int64_t timeout_us, struct rights *rights, struct error *err)
{
    const char *const values[] = {role, rights_tsv};
    struct statement_wait wait = statement_wait_for(timeout_us); /* without a watch: its own refusal is not explained in turn */
    wait.is_cancelled_late = true;
    PGresult *answer = statement_run(conn, missing_rights_sql, 2, values, &wait, err);
    if (!answer)
        return false;
    read_answer(answer, rights);
    PQclear(answer);
    return true;
}

bool rights_ask(PGconn *conn, const char *role, struct rights *rights, struct error *err)
{
    return ask(conn, role, ASK_US, rights, err);
}

const char *rights_role(const char *program)
{
    static const struct {
        const char *program, *role;
    } roles[] = {
        {"tallymill-consumer", "tallymill_ingest"},   {"tallymill-aggregator", "tallymill_aggregate"},
        {"tallymill rebuild", "tallymill_aggregate"}, {"tallymill refresh", "tallymill_aggregate"},
        {"tallymill status", "tallymill_read"},       {"tallymill lag", "tallymill_read"},
        {"tallymill top", "tallymill_read"},          {"tallymill audit", "tallymill_read"},
        {"tallymill verify", "tallymill_read"},       {"tallymill months", "tallymill_read"},
        {"tallymill export", "tallymill_read"},       {"tallymill dashboard", "tallymill_read"},
        {"tallymill migrate", "tallymill_admin"},     {"tallymill reset", "tallymill_admin"},
        {"tallymill topic", "tallymill_admin"},       {"tallymill archive", "tallymill_admin"},
        {"tallymill restore", "tallymill_admin"},     {"tallymill erase", "tallymill_admin"},
    };
    for (size_t i = 0; program && i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(program, roles[i].program) == 0)
            return roles[i].role;
    return NULL;
}

/* Sentences behind the error's; its kind and SQLSTATE stay. */
static void append(struct error *err, const char *sentence)
{
    const struct error said = *err;
    error_set(err, said.kind, "%.*s. %s", (int)(sizeof said.text - strlen(sentence) - sizeof ". "), said.text, sentence);
    memcpy(err->sqlstate, said.sqlstate, sizeof err->sqlstate);
}

void rights_explain(PGconn *conn, struct error *err)
{
    char sentence[2 * RIGHTS_TEXT_BYTES];
    struct error ignored = {0};
    struct rights rights;
    if (!postgres_is(err, POSTGRES_NO_RIGHT) || err->kind != ERROR_USAGE || strstr(err->text, "ROW LEVEL SECURITY"))
        return;
    const char *program = PQparameterStatus(conn, "application_name"), *role = rights_role(program);
    PGconn *side = role ? postgres_open_beside(conn, "tallymill rights", EXPLAIN_US, &ignored) : NULL;
    if (!side || !ask(side, role, EXPLAIN_US, &rights, &ignored))
        snprintf(sentence, sizeof sentence,
                 "%.60s --check names the right, and the statement that grants it (tallymill_read is for what looks on, "
                 "tallymill_admin for what changes something or shows contents)",
                 program && program[0] ? program : "The program");
    else if (rights.missing == 0)
        snprintf(sentence, sizeof sentence,
                 "The login %.63s has every right of %s: what is named belongs to somebody else (a trigger, a rule, a rollup's "
                 "query), whose owner grants it",
                 PQuser(side), role);
    else
        snprintf(sentence, sizeof sentence, "%s runs: %s;",
                 rights.is_of_login ? "An owner of the database" : "A superuser or a member of tallymill_admin", rights.grants);
    PQfinish(side);
    append(err, sentence);
}
