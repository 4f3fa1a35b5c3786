/* Whose code refused a row is read from the error's context, whatever language the server speaks. The lines are Postgres's own, from its translations. */
#include <criterion/criterion.h>

#include <string.h>

#include "consumer/failure.h"

static enum failure_code code_of(const char *context)
{
    char place[FAILURE_PLACE_BYTES];
    return failure_code(context, place);
}

Test(failure, finds_nobodys_code_in_what_copy_adds_in_any_language)
{
    static const char *const lines[] = {
        "COPY analytics_events, line 5001, column event_data",
        "COPY analytics_events, Zeile 5001, Spalte event_data", /* Czech, French, Spanish, Russian and others alike */
        "analytics_eventsのCOPY、行 5001、列 event_data",
        "analytics_events 복사, 5001번째 줄, event_data 열",
        "dead_letters 복사, 1번째 줄",
        "COPY dead_letters, ხაზი 1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_eq(code_of(lines[i]), CODE_OF_NOBODY, "%s", lines[i]);
    cr_expect_eq(code_of(""), CODE_OF_NOBODY);
}

Test(failure, finds_our_function_by_its_name_in_any_language)
{
    static const char *const lines[] = {
        "PL/pgSQL function tallymill.commit_batch(bigint,text,integer[]) line 9 at RAISE",
        "PL/pgSQL-Funktion tallymill.commit_batch(bigint,text,integer[]) Zeile 9 bei RAISE",
        "PL/pgSQL関数tallymill.commit_batch(bigint,text,integer[])の9行目 - RAISE",
        "PL/pgSQL 함수 \"tallymill.commit_batch(bigint,text,integer[])\" 의 9번째 RAISE",
        "tallymill.commit_batch(bigint,text,integer[]) PL/pgSQL fonksiyonu, 9. satır, RAISE içinde",
        "在RAISE的第9行的PL/pgSQL函数tallymill.commit_batch(bigint,text,integer[])",
        "PL/pgSQL function commit_batch(bigint,text,integer[]) line 9 at RAISE",
        ("PL/pgSQL function public.theirs() line 3 at RAISE\n"
         "SQL statement \"INSERT INTO tallymill.batches (batch_id)\n VALUES (1)\"\n"
         "PL/pgSQL function tallymill.commit_batch(bigint,text,integer[]) line 30 at SQL statement"),
        ("while locking tuple (0,1) in relation \"owners\"\nSQL statement \"SELECT o.epoch FROM tallymill.owners o FOR UPDATE\"\n"
         "PL/pgSQL function tallymill.commit_batch(bigint,text,integer[]) line 12 at SQL statement"),
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_eq(code_of(lines[i]), CODE_OF_BOOKS, "%s", lines[i]);
}

Test(failure, takes_no_code_of_somebody_else_for_ours_because_it_names_our_schema)
{
    static const char *const lines[] = {
        "PL/pgSQL function app_tallymill.check_event() line 3 at SQL statement\nCOPY analytics_events, line 1",
        "PL/pgSQL function theirs.tallymill.f() line 3 at RAISE",
        ("SQL statement \"SELECT state FROM tallymill.months WHERE month = $1\"\n"
         "PL/pgSQL function public.theirs() line 3 at SQL statement\nCOPY analytics_events, line 1"),
        ("SQL statement \"INSERT INTO audit VALUES ('x\nPL/pgSQL function tallymill.commit_batch(bigint) line 1 at RAISE\n')\"\n"
         "PL/pgSQL function theirs() line 4 at EXECUTE"),
        "PL/pgSQL function public.recommit_batch(bigint) line 1 at RAISE",
        "SQL function \"analytics_events\" statement 1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_eq(code_of(lines[i]), CODE_OF_USER, "%s", lines[i]);
}

Test(failure, names_the_innermost_function)
{
    char place[FAILURE_PLACE_BYTES];
    failure_code("SQL statement \"SELECT f()\"\nPL/pgSQL function g(text) line 3 at SQL statement\nPL/pgSQL function h() line 1 at PERFORM", place);
    cr_expect_str_eq(place, "PL/pgSQL function g(text) line 3 at SQL statement");
    failure_code("COPY analytics_events, line 1", place);
    cr_expect_str_eq(place, "");
}
