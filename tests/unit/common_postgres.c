/* What Postgres's errors ask for, and connections that cannot be. No server is needed for either. */
#include <criterion/criterion.h>
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
                                                    "42P10", "TM002", "TM003", "TM006", "TM008", NULL});
}

Test(postgres_kind, is_fatal_for_what_the_table_does_not_know)
{
    expect_kinds(ERROR_FATAL, (const char *const[]){"XX000", "XX001", "XX002", "42601", "25P01", "25P02", "22P04", "22023", "58P01",
                                                    "0A000", "P0002", "TM004", "TM009", "TM999", "99999", NULL});
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

Test(postgres_start, refuses_a_connection_string_that_is_none_without_quoting_it)
{
    struct error err = {0};
    cr_assert_null(postgres_start("host=h password=my hunter2", "unit", &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, "cannot connect to Postgres: postgres.dsn is not a connection string that libpq understands");
}
