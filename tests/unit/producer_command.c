/* producer_command.c - the command line of tallymill-produce: what is refused, before anything is opened. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <stdio.h>
#include <string.h>

#include "producer/produce.h"

static void redirect(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
}

/* Splits a line at spaces and reads it. */
static bool read_line(struct produce *produce, const char *line, int *exit_code)
{
    static char copy[512];
    char *argv[32] = {(char[]){"tallymill-produce"}};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return produce_read(produce, argc, argv, exit_code);
}

static void expect_refused(const char *const *lines)
{
    for (; *lines; lines++) {
        struct produce produce;
        int exit_code = -1;
        cr_assert(!read_line(&produce, *lines, &exit_code), "%s", *lines);
        cr_assert_eq(exit_code, 2, "%s: %d", *lines, exit_code);
        produce_reset(&produce);
    }
}

Test(command, refuses_what_it_cannot_mean_with_exit_code_2, .init = redirect)
{
    static const char *const lines[] = {"--map x=y",
                                        "--map event_name",
                                        "--const event_nam=y",
                                        "--rest elsewhere",
                                        "--map created_at=t",
                                        "--map event_name=a --map event_name=b",
                                        "--format xml",
                                        "--delimiter ;",
                                        "--csv-types json",
                                        "--format csv --delimiter ab",
                                        "--format csv --csv-types guess",
                                        "--default event_nam=y",
                                        "--default event_name=a --const event_name=b",
                                        "--resume /tmp/x",
                                        "--resume /tmp/x -",
                                        "--dry-run --resume /tmp/x /dev/null",
                                        "--dry-run --follow /dev/null",
                                        "--time-unit min",
                                        "/nonexistent/file",
                                        "/tmp",
                                        "--generat 5",
                                        "--generate",
                                        "-x",
                                        "--set topics.event=x",
                                        "--config /nonexistent/file",
                                        NULL};
    expect_refused(lines);
}

Test(command, refuses_what_cannot_be_generated_with_exit_code_2, .init = redirect)
{
    static const char *const lines[] = {"--generate 0",
                                        "--generate -5",
                                        "--generate 5x",
                                        "--generate 99999999999999999999",
                                        "--generate 5 --seed x",
                                        "--generate 5 --days 0",
                                        "--generate 5 --days 36501",
                                        "--generate 5 --sparse 5",
                                        "--sparse 0",
                                        "--generate 5 --until yesterday",
                                        "--generate 5 --rate 0",
                                        "--generate 5 --rate -1",
                                        "--generate 5 --rate nan",
                                        "--generate 5 /dev/null",
                                        "--seed 5",
                                        "--days 5",
                                        "--until 2026-01-15T00:00:00Z",
                                        "--generate 5 --dry-run",
                                        "--generate 5 --follow",
                                        "--generate 5 --resume /tmp/x",
                                        "--generate 5 --live",
                                        "--generate 5 --live --rate 5 --days 3",
                                        "--live",
                                        NULL};
    expect_refused(lines);
}

Test(command, reads_a_plan, .init = redirect)
{
    struct produce produce;
    int exit_code = -1;
    cr_assert(read_line(
        &produce,
        "--generate 200000 --days 30 --seed 18446744073709551615 --until 2026-01-15T00:00:00Z --rate 2.5 --json --ack-log /tmp/a",
        &exit_code));
    cr_assert(produce.is_generating && produce.wants_json);
    cr_assert_eq(produce.plan.events, 200000);
    cr_assert_eq(produce.plan.seed, UINT64_MAX);
    cr_assert_eq(produce.plan.days, 30);
    cr_assert_eq(produce.plan.until_us, 1768435200000000);
    cr_assert_float_eq(produce.pace.rate, 2.5, 1e-9);
    cr_assert_str_eq(produce.ack_log, "/tmp/a");
    produce_reset(&produce);
}

Test(command, without_files_reads_stdin, .init = redirect)
{
    struct produce produce;
    int exit_code = -1;
    cr_assert(
        read_line(&produce, "--const event_name=page_view --map session_id=client --rest event_data --time-unit ms", &exit_code));
    cr_assert_eq(produce.import.path_count, 1);
    cr_assert_str_eq(produce.import.paths[0], "-");
    produce_reset(&produce);
}

Test(command, reads_how_files_are_written, .init = redirect)
{
    struct produce produce;
    int exit_code = -1;
    cr_assert(read_line(&produce,
                        "--format csv --delimiter tab --csv-types json --default event_name=login --resume /tmp/x /dev/null",
                        &exit_code));
    cr_assert(produce.import.kind.format == RECORD_CSV && produce.import.kind.is_typed);
    cr_assert_eq(produce.import.kind.delimiter, '\t');
    cr_assert_str_eq(produce.resume_file, "/tmp/x");
    produce_reset(&produce);
}

Test(command, help_and_version_end_with_0, .init = redirect)
{
    struct produce produce;
    int exit_code = -1;
    cr_assert(!read_line(&produce, "--help", &exit_code));
    cr_assert_eq(exit_code, 0);
    produce_reset(&produce);
    cr_assert(!read_line(&produce, "--version", &exit_code));
    cr_assert_eq(exit_code, 0);
    produce_reset(&produce);
}
