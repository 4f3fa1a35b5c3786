/* cli.c - see cli.h.
 *
 * getopt_long() was rejected: it takes any unambiguous beginning of an option's name, so that a script's "--conf" breaks with the
 * release that adds "--confirm", and its own messages suggest nothing. Options may stand anywhere before "--"; "-" alone is an
 * argument.
 */
#include "common/cli.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "common/kafka_version.h"
#include "common/log.h"
#include "common/cli_man.h"
#include "common/nearest.h"
#include "common/settings.h"

enum { OPTIONS_MAX = 64, HELP_COLUMN = 28 };

/* What is being read: the options that all programs have, and the program's own. */
struct parse {
    const struct cli *cli;
    struct cli_result *result;
    const char *config;
    const char **sets;
    size_t set_count;
    bool wants_print, wants_version, wants_help, wants_man;
    struct cli_option common[8];
};

static bool add_set(void *context, const char *value, struct error *err)
{
    (void)err;
    struct parse *parse = context;
    parse->sets[parse->set_count++] = value; /* has room for argc of them */
    return true;
}

static void list_common(struct parse *parse)
{
    const struct cli_option common[] = {
        {.name = "config", .argument = "FILE", .help = "read the settings from FILE (INI)", .value = &parse->config},
        {.name = "set",
         .argument = "KEY=VALUE",
         .help = "set one setting; may be repeated, and wins over the file",
         .each = add_set,
         .context = parse},
        {.name = "check", .help = "test settings and servers, say the result, and stop", .flag = &parse->result->check},
        {.name = "print-settings", .help = "print the settings in use, without secrets, and stop", .flag = &parse->wants_print},
        {.name = "version", .help = "print the version, and that of librdkafka, and stop", .flag = &parse->wants_version},
        {.name = "help", .help = "print this and stop", .flag = &parse->wants_help},
        {.name = "man", .help = "print the manual page (mdoc) and stop", .flag = &parse->wants_man},
        {.name = NULL},
    };
    memcpy(parse->common, common, sizeof common);
}

static const struct cli_option *find_in(const struct cli_option *options, const char *name, size_t length)
{
    for (; options != NULL && options->name != NULL; options++)
        if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
            return options;
    return NULL;
}

static size_t list_names(const struct cli_option *options, const char **names, size_t count)
{
    for (; options != NULL && options->name != NULL && count < OPTIONS_MAX; options++)
        names[count++] = options->name;
    return count;
}

static bool unknown_option(const struct parse *parse, const char *name, size_t length, struct error *err)
{
    const char *names[OPTIONS_MAX];
    size_t count = list_names(parse->common, names, 0);
    count = list_names(parse->cli->options, names, count);
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    const char *nearest = nearest_word(word, names, count);
    if (nearest != NULL)
        return error_set(err, ERROR_USAGE, "unknown option --%s; did you mean --%s?", word, nearest);
    return error_set(err, ERROR_USAGE, "unknown option --%s", word);
}

/* One "--name", "--name=value" or "--name" "value"; *at moves past what was used. */
static bool take_option(struct parse *parse, char **argv, int argc, int *at, struct error *err)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *option = find_in(parse->common, name, length);
    if (option == NULL)
        option = find_in(parse->cli->options, name, length);
    if (option == NULL)
        return unknown_option(parse, name, length, err);
    if (option->flag != NULL) {
        if (equals != NULL)
            return error_set(err, ERROR_USAGE, "--%s takes no value", option->name);
        *option->flag = true;
        return true;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL) {
        if (*at + 1 >= argc)
            return error_set(err, ERROR_USAGE, "--%s wants %s", option->name, option->argument);
        value = argv[++*at];
    }
    if (option->each != NULL) {
        if (!option->each(option->context, value, err))
            return error_wrap(err, "--%s %s", option->name, value);
        return true;
    }
    *option->value = value;
    return true;
}

static bool parse_arguments(struct parse *parse, int argc, char **argv, struct error *err)
{
    bool only_arguments = false;
    for (int at = 1; at < argc; at++) {
        if (only_arguments || argv[at][0] != '-' || argv[at][1] == '\0')
            parse->result->arguments[parse->result->argument_count++] = argv[at];
        else if (strcmp(argv[at], "--") == 0)
            only_arguments = true;
        else if (strcmp(argv[at], "-h") == 0)
            parse->wants_help = true;
        else if (argv[at][1] != '-')
            return error_set(err, ERROR_USAGE, "unknown option %s: options are words, such as --help", argv[at]);
        else if (!take_option(parse, argv, argc, &at, err))
            return false;
    }
    return true;
}

static void print_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char name[80];
        snprintf(name, sizeof name, "--%s%s%s", options->name, options->argument != NULL ? " " : "",
                 options->argument != NULL ? options->argument : "");
        printf("  %-*s %s\n", HELP_COLUMN - 3, name, options->help);
    }
}

static void print_help(const struct parse *parse)
{
    const struct cli *cli = parse->cli;
    printf("Usage: %s %s\n\n%s\n", cli->program, cli->usage, cli->summary);
    if (cli->options != NULL && cli->options->name != NULL) {
        printf("\nOptions:\n");
        print_options(cli->options);
    }
    printf("\nOptions of every program:\n");
    print_options(parse->common);
    printf("\nSettings (in the file of --config as [SECTION] and KEY = VALUE, or --set SECTION.KEY=VALUE):\n");
    printf("  %-*s %s\n", HELP_COLUMN - 3, "kafka.*", "any property of librdkafka; kafka.bootstrap.servers is required");
    for (const struct setting *setting = settings_table; setting->key != NULL; setting++)
        if ((setting->programs & cli->programs) != 0)
            printf("  %-*s %s (%s)\n", HELP_COLUMN - 3, setting->key, setting->help,
                   setting->fallback[0] != '\0' ? setting->fallback : "empty");
    if (cli->examples != NULL)
        printf("\nExamples:\n%s\n", cli->examples);
    printf("\nExit codes: %s\n", cli->exit_codes != NULL ? cli->exit_codes : cli_exit_codes);
}

int cli_end_output(const struct cli *cli, int exit_code)
{
    /* An earlier flush that failed leaves its mark only in ferror(). */
    errno = 0;
    const bool is_flushed = fflush(stdout) == 0;
    if (is_flushed && !ferror(stdout))
        return exit_code;
    fprintf(stderr, "%s: cannot write to stdout%s%s\n", cli->program, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    return exit_code != 0 ? exit_code : 1;
}

static int usage_failed(const struct cli *cli, const struct error *err)
{
    int code = cli_fail(cli, err);
    fprintf(stderr, "Try: %s --help\n", cli->program);
    return code;
}

/* False: the program stops with *exit_code. */
static bool run(struct parse *parse, int argc, char **argv, int *exit_code)
{
    struct error err;
    if (!parse_arguments(parse, argc, argv, &err)) {
        *exit_code = usage_failed(parse->cli, &err);
        return false;
    }
    if (parse->wants_help || parse->wants_version || parse->wants_man) {
        if (parse->wants_help)
            print_help(parse);
        else if (parse->wants_man)
            cli_man_write(stdout, parse->cli, parse->common);
        else
            printf("%s %s (librdkafka %s)\n", parse->cli->program, TALLYMILL_VERSION, rd_kafka_version_str());
        *exit_code = cli_end_output(parse->cli, 0);
        return false;
    }
    if (!kafka_version_check(rd_kafka_version(), rd_kafka_version_str(), &err)) {
        *exit_code = cli_fail(parse->cli, &err);
        return false;
    }
    parse->result->settings = settings_load_for(parse->cli->programs, parse->config, parse->sets, parse->set_count, &err);
    if (parse->result->settings == NULL) {
        *exit_code = cli_fail(parse->cli, &err);
        return false;
    }
    if (parse->wants_print) {
        settings_print(parse->result->settings, parse->cli->programs, stdout);
        *exit_code = cli_end_output(parse->cli, 0);
        return false;
    }
    enum log_level level = LOG_LEVEL_INFO;
    bool is_level = log_level_parse(settings_text(parse->result->settings, "log.level"), &level);
    assert(is_level);
    (void)is_level;
    log_set_level(level);
    return true;
}

bool cli_start(const struct cli *cli, int argc, char **argv, struct cli_result *result, int *exit_code)
{
    *result = (struct cli_result){0};
    struct parse parse = {.cli = cli, .result = result};
    list_common(&parse);
    parse.sets = calloc((size_t)argc + 1, sizeof *parse.sets);
    /* Kept until the process ends, and reachable: main() reads it as it reads argv, and no leak checker minds. */
    static char **kept;
    result->arguments = kept = calloc((size_t)argc + 1, sizeof *result->arguments);
    bool goes_on = false;
    if (parse.sets == NULL || result->arguments == NULL) {
        fprintf(stderr, "%s: out of memory\n", cli->program);
        *exit_code = 1;
        goto out;
    }
    goes_on = run(&parse, argc, argv, exit_code);
out:
    free(parse.sets);
    if (!goes_on) {
        free(kept);
        result->arguments = kept = NULL;
        settings_free(result->settings);
        result->settings = NULL;
    }
    return goes_on;
}

int cli_fail(const struct cli *cli, const struct error *err)
{
    fprintf(stderr, "%s: %s\n", cli->program, err->text);
    return error_exit_code(err);
}
