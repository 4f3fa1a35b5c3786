/* The command line that all programs share. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "common/cli.h"
#include "common/error.h"
#include "common/settings.h"
#include "common_temporary.h"

static bool flag;
static const char *value;
static char joined[64];

static bool join(void *context, const char *text, struct error *err)
{
    if (strcmp(text, "bad") == 0)
        return error_set(err, ERROR_USAGE, "not this one");
    strcat(context, text);
    return true;
}

static const struct cli_option options[] = {
    {.name = "until-end", .help = "stop at the end", .flag = &flag},
    {.name = "generate", .argument = "N", .help = "make N events", .value = &value},
    {.name = "map", .argument = "COLUMN=FIELD", .help = "map", .each = join, .context = joined},
    {.name = NULL},
};
static const struct cli cli = {.program = "prog",
                               .usage = "[OPTION ...] [FILE ...]",
                               .summary = "Does something.",
                               .examples = "  prog --until-end",
                               .options = options,
                               .programs = FOR_CONSUMER};

/* Runs cli_start() with these arguments behind the program's name; a NULL ends them. The result's arguments point into a static
 * array. */
static bool start(struct cli_result *result, int *exit_code, ...)
{
    static char *argv[16];
    int argc = 0;
    argv[argc++] = (char *)"prog";
    va_list arguments;
    va_start(arguments, exit_code);
    for (char *argument; (argument = va_arg(arguments, char *)) != NULL;)
        argv[argc++] = argument;
    va_end(arguments);
    *exit_code = -1;
    return cli_start(&cli, argc, argv, result, exit_code);
}

static void redirect(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static const char *read_all(FILE *file)
{
    static char text[32 * 1024];
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    return text;
}

Test(cli, takes_options_anywhere_and_leaves_the_arguments)
{
    struct cli_result result;
    int exit_code;
    cr_assert(start(&result, &exit_code, "a", "--until-end", "--generate", "5", "-", "--map", "x", "--map=y", "--", "--set", NULL));
    cr_expect(flag);
    cr_expect_str_eq(value, "5");
    cr_expect_str_eq(joined, "xy");
    cr_assert_eq(result.argument_count, 3);
    cr_expect_str_eq(result.arguments[0], "a");
    cr_expect_str_eq(result.arguments[1], "-");
    cr_expect_str_eq(result.arguments[2], "--set");
    cr_expect_not(result.check);
    settings_free(result.settings);
}

Test(cli, loads_file_and_set)
{
    struct cli_result result;
    int exit_code;
    const char *path = temporary_text("[topics]\nevents = file\n[consumer]\ngroup = g\n");
    cr_assert(start(&result, &exit_code, "--set", "topics.events=a=b", "--config", path, "--check", NULL));
    cr_expect_str_eq(settings_text(result.settings, "topics.events"), "a=b");
    cr_expect_str_eq(settings_text(result.settings, "consumer.group"), "g");
    cr_expect(result.check);
    settings_free(result.settings);
}

Test(cli, prints_the_version, .init = redirect)
{
    struct cli_result result;
    int exit_code;
    cr_expect_not(start(&result, &exit_code, "--version", NULL));
    cr_expect_eq(exit_code, 0);
    fflush(stdout);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "prog " TALLYMILL_VERSION " (librdkafka %s)\n", rd_kafka_version_str());
    cr_expect_stdout_eq_str(wanted);
}

Test(cli, helps_on_stdout_with_options_settings_and_exit_codes, .init = redirect)
{
    struct cli_result result;
    int exit_code;
    cr_expect_not(start(&result, &exit_code, "--nothing-of-this-is-read=x", NULL), "an option that is not there comes first");
    cr_expect_eq(exit_code, 2);
    cr_expect_not(start(&result, &exit_code, "--help", "--set", "no.such=1", NULL));
    cr_expect_eq(exit_code, 0);
    fflush(stdout);
    const char *text = read_all(cr_get_redirected_stdout());
    static const char *const wanted[] = {"Usage: prog [OPTION ...] [FILE ...]\n",
                                         "  --until-end ",
                                         "  --generate N ",
                                         "  --config FILE ",
                                         "  kafka.* ",
                                         "  batch.max_rows ",
                                         "Examples:\n  prog --until-end\n",
                                         "Exit codes: 0 done; "};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        cr_expect_not_null(strstr(text, wanted[i]), "%s", wanted[i]);
    cr_expect_null(strstr(text, "aggregator.interval"), "a setting of another program");
}

Test(cli, prints_the_settings_in_use_on_stdout, .init = redirect)
{
    struct cli_result result;
    int exit_code;
    cr_expect_not(start(&result, &exit_code, "--print-settings", "--set", "batch.max_rows=77", NULL));
    cr_expect_eq(exit_code, 0);
    fflush(stdout);
    cr_expect_not_null(strstr(read_all(cr_get_redirected_stdout()), "\nmax_rows = 77\n"));
}

static void expect_mistake(const char *argument, const char *said)
{
    struct cli_result result;
    int exit_code;
    cr_expect_not(start(&result, &exit_code, argument, NULL));
    cr_expect_eq(exit_code, 2);
    fflush(stderr);
    cr_expect_stderr_eq_str(said);
}

Test(cli, suggests_the_option_that_was_meant, .init = redirect)
{
    expect_mistake("--untilend", "prog: unknown option --untilend; did you mean --until-end?\nTry: prog --help\n");
}

Test(cli, takes_no_beginning_of_an_option_for_the_option, .init = redirect)
{
    expect_mistake("--gen", "prog: unknown option --gen\nTry: prog --help\n");
}

Test(cli, knows_no_letters, .init = redirect)
{
    expect_mistake("-c", "prog: unknown option -c: options are words, such as --help\nTry: prog --help\n");
}

Test(cli, says_what_an_option_wants, .init = redirect)
{
    expect_mistake("--generate", "prog: --generate wants N\nTry: prog --help\n");
}

Test(cli, gives_a_flag_no_value, .init = redirect)
{
    expect_mistake("--until-end=yes", "prog: --until-end takes no value\nTry: prog --help\n");
}

Test(cli, lets_an_option_refuse_its_value, .init = redirect)
{
    expect_mistake("--map=bad", "prog: --map bad: not this one\nTry: prog --help\n");
}

Test(cli, names_a_wrong_setting, .init = redirect)
{
    expect_mistake("--set=topics.event=x", "prog: --set topics.event: unknown setting; did you mean topics.events?\n");
}

Test(cli, fails_with_the_exit_code_of_the_error, .init = redirect)
{
    struct error err;
    error_set(&err, ERROR_FATAL, "a namesake took over");
    cr_expect_eq(cli_fail(&cli, &err), 3);
    fflush(stderr);
    cr_expect_stderr_eq_str("prog: a namesake took over\n");
}
