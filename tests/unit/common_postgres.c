/* What Postgres's errors ask for, and connections that cannot be. No server is needed for either. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres.h"

static void expect_kinds(enum error_kind kind, const char *const *sqlstates)
{
    for (; *sqlstates != NULL; sqlstates++)
        cr_expect_eq(postgres_kind(*sqlstates), kind, "%s", *sqlstates);
}

Test(postgres_kind, is_retry_for_what_may_pass)
{
    expect_kinds(ERROR_RETRY, (const char *const[]){"08000", "08001", "08003", "08006", "08P01", /* connection */
                                                    "40001", "40P01", "40003",                   /* serialization, deadlock */
                                                    "53100", "53200", "53300", "53400",          /* disk, memory, connections */
                                                    "55000", "55006", "55P03", "57014", "57P01", "57P02", "57P03", "57P05",
                                                    "25006", "25P03", "25P04", "58030", "72000", "TM001", "TM010", NULL});
}

Test(postgres_kind, is_retry_for_a_lost_connection)
{
    cr_expect_eq(postgres_kind(NULL), ERROR_RETRY);
    cr_expect_eq(postgres_kind(""), ERROR_RETRY);
}

Test(postgres_kind, is_reject_for_what_is_the_rows_fault)
{
    expect_kinds(ERROR_REJECT,
                 (const char *const[]){"22001", "22003", "22007", "22008", "22021", "22P02", "22P03", "22P05", "23502", "23503",
                                       "23505", "23514", "23P01", "54000", "54001", "44000", "P0001", "TM005", NULL});
}

Test(postgres_kind, is_usage_for_settings_rights_and_schema)
{
    expect_kinds(ERROR_USAGE, (const char *const[]){"28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42704", "42883",
                                                    "42P10", "2BP01", "TM002", "TM003", "TM006", "TM008", NULL});
}

Test(postgres_kind, is_fatal_for_what_the_table_does_not_know)
{
    expect_kinds(ERROR_FATAL, (const char *const[]){"XX000", "XX001", "XX002", "42601", "25P01", "25P02", "22P04", "22023", "58P01",
                                                    "0A000", "P0002", "TM004", "TM009", "TM999", "99999", NULL});
}

static struct error refused_with(const char *sqlstate)
{
    struct error err = {.kind = ERROR_RETRY};
    snprintf(err.sqlstate, sizeof err.sqlstate, "%s", sqlstate);
    return err;
}

Test(postgres_is, knows_codes_and_classes)
{
    static const struct {
        const char *sqlstate;
        enum postgres_state state;
        bool is_so;
    } cases[] = {
        {"28P01", POSTGRES_LOGIN_REFUSED, true},  {"28000", POSTGRES_LOGIN_REFUSED, true}, {"08006", POSTGRES_LOGIN_REFUSED, false},
        {"42501", POSTGRES_NO_RIGHT, true},       {"42P01", POSTGRES_NO_RIGHT, false},     {"42P01", POSTGRES_NO_SCHEMA, true},
        {"3F000", POSTGRES_NO_SCHEMA, true},      {"42883", POSTGRES_NO_SCHEMA, false},    {"42883", POSTGRES_MIGRATING, true},
        {"42703", POSTGRES_MIGRATING, true},      {"42704", POSTGRES_MIGRATING, false},    {"25006", POSTGRES_READ_ONLY, true},
        {"40001", POSTGRES_CONFLICT, true},       {"40P01", POSTGRES_CONFLICT, true},      {"40001", POSTGRES_DEADLOCK, false},
        {"40P01", POSTGRES_DEADLOCK, true},       {"55P03", POSTGRES_LOCKED, true},        {"55006", POSTGRES_LOCKED, false},
        {"57014", POSTGRES_CANCELLED, true},      {"23505", POSTGRES_UNIQUE, true},        {"23514", POSTGRES_CHECK, true},
        {"XX001", POSTGRES_INTERNAL, false},      {"XX000", POSTGRES_INTERNAL, true},      {"XX001", POSTGRES_DAMAGED, true},
        {"TM001", POSTGRES_FENCED, true},         {"TM004", POSTGRES_CONTRACT, true},      {"TM005", POSTGRES_MONTH_ARCHIVED, true},
        {"TM007", POSTGRES_MONTH_DETACHED, true}, {"TM009", POSTGRES_TOPIC_ANEW, true},    {"TM010", POSTGRES_KEPT_OUT, true},
        {"0A000", POSTGRES_UNSUPPORTED, true},    {"2BP01", POSTGRES_STILL_USED, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct error err = refused_with(cases[i].sqlstate);
        cr_expect_eq(postgres_is(&err, cases[i].state), cases[i].is_so, "%s, state %d", cases[i].sqlstate, (int)cases[i].state);
    }
}

Test(postgres_is, refused_only_while_the_connection_goes_on)
{
    static const char *const lost[] = {"", "57P01", "57P02", "57P05"}, *const refused[] = {"57014", "23505", "42501", "TM001"};
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        const struct error err = refused_with(lost[i]);
        cr_expect_not(postgres_is(&err, POSTGRES_REFUSED), "'%s'", lost[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const struct error err = refused_with(refused[i]);
        cr_expect(postgres_is(&err, POSTGRES_REFUSED), "'%s'", refused[i]);
    }
}

Test(postgres_is, nothing_but_refused_without_an_sqlstate)
{
    const struct error err = refused_with("");
    for (int state = POSTGRES_REFUSED; state <= POSTGRES_KEPT_OUT; state++)
        cr_expect_not(postgres_is(&err, (enum postgres_state)state), "state %d", state);
}

Test(postgres_mark, gives_our_own_error_the_servers_code)
{
    struct error err = {0};
    error_set(&err, ERROR_RETRY, "the lock was not free");
    postgres_mark(&err, POSTGRES_LOCKED);
    cr_expect_str_eq(err.sqlstate, "55P03");
    cr_expect_str_eq(err.text, "the lock was not free");
}

Test(postgres_error, keeps_the_kind_of_a_connection_that_was_never_made)
{
    struct error err = {0};
    cr_assert_null(postgres_open("host=127.0.0.1 port=1 dbname=x user=me password=hunter2", "unit", CLOCK_SECOND_US, &err));
    cr_expect_eq(err.kind, ERROR_RETRY);
    cr_expect_eq(strncmp(err.text, "cannot connect to Postgres: ", 28), 0, "%s", err.text);
    cr_expect_not_null(strstr(err.text, "127.0.0.1"), "%s", err.text);
    cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
}

Test(postgres_open, refuses_a_connection_string_that_is_none_without_quoting_it)
{
    struct error err = {0};
    cr_assert_null(postgres_open("host=h password=my hunter2", "unit", CLOCK_SECOND_US, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, "cannot connect to Postgres: postgres.dsn is not a connection string that libpq understands");
}

Test(postgres, names_become_identifiers)
{
    char identifier[POSTGRES_IDENTIFIER_BYTES], longest[80];
    cr_expect_str_eq(postgres_identifier(identifier, "user"), "\"user\"");
    cr_expect_str_eq(postgres_identifier(identifier, "o\"brien"), "\"o\"\"brien\"");
    memset(longest, '"', sizeof longest);
    longest[63] = '\0';
    cr_expect_eq(strlen(postgres_identifier(identifier, longest)), POSTGRES_IDENTIFIER_BYTES - 1);
}
