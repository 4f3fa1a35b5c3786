/* Which command a command line means. */
#include <criterion/criterion.h>
#include <string.h>

#include "operator/command.h"

#define COUNT(argv) ((int)(sizeof(argv) / sizeof(argv)[0]) - 1)

Test(command, is_found_by_its_name)
{
    cr_assert_not_null(command_find("audit"));
    cr_expect_str_eq(command_find("audit")->name, "audit");
    cr_expect_null(command_find("audi"));
    cr_expect_null(command_find(""));
}

Test(command, suggests_the_nearest_name_when_it_is_unknown)
{
    cr_expect_str_eq(command_nearest("audt"), "audit");
    cr_expect_str_eq(command_nearest("stauts"), "status");
    cr_expect_null(command_nearest("completely-different"));
}

Test(command, may_stand_behind_options_that_all_commands_share)
{
    const char *argv[] = {"tallymill", "--config", "audit", "--set", "a=b", "status", "--json", NULL};
    cr_assert_eq(command_place(COUNT(argv), (char **)argv), 5, "the file named audit is no command");
    command_to_front((char **)argv, 5);
    cr_expect_str_eq(argv[1], "status");
    cr_expect_str_eq(argv[2], "--config");
    cr_expect_str_eq(argv[3], "audit");
    cr_expect_str_eq(argv[4], "--set");
    cr_expect_str_eq(argv[5], "a=b");
    cr_expect_str_eq(argv[6], "--json");
}

Test(command, may_be_missing)
{
    const char *only_options[] = {"tallymill", "--config=x", "--help", NULL};
    const char *nothing[] = {"tallymill", NULL};
    const char *half[] = {"tallymill", "--config", NULL};
    cr_expect_eq(command_place(COUNT(only_options), (char **)only_options), 0);
    cr_expect_eq(command_place(COUNT(nothing), (char **)nothing), 0);
    cr_expect_eq(command_place(COUNT(half), (char **)half), 0);
}

Test(command, in_front_stays_where_it_is)
{
    const char *argv[] = {"tallymill", "verify", "2026-11-24", NULL};
    cr_assert_eq(command_place(COUNT(argv), (char **)argv), 1);
    command_to_front((char **)argv, 1);
    cr_expect_str_eq(argv[1], "verify");
    cr_expect_str_eq(argv[2], "2026-11-24");
}
