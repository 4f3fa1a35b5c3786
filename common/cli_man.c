/* cli_man.c - see cli_man.h.
 *
 * Text is written sentence by sentence, a line each and no line longer than 78 bytes, as mdoc wants it; nothing of ours is ever
 * taken for a macro. Rejected: help2man and the like, which guess at what --help meant.
 */
#include "common/cli_man.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli_table.h"
#include "common/clock.h"
#include "common/settings_table.h"

enum { LINE_BYTES = 78, TEXT_BYTES = 1024, MONTH_DIGITS = 5 };

const char cli_exit_codes[] = "0 done; 1 failed, a restart may help; 2 usage, settings or schema; 3 needs a person.";

/* A word that roff prints as it stands; at the start of a line it must not look like a request. Returns its bytes. */
static size_t put_word(FILE *out, const char *word, size_t length, bool is_first)
{
    size_t used = length;
    if (is_first && (word[0] == '.' || word[0] == '\'')) {
        fputs("\\&", out);
        used += 2;
    }
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\\' || word[i] == '-') {
            fputs(word[i] == '-' ? "\\-" : "\\e", out);
            used++;
        } else {
            fputc(word[i], out);
        }
    }
    return used;
}

static bool ends_sentence(const char *word, size_t length)
{
    return length > 1 && strchr(".!?:", word[length - 1]) != NULL;
}

/* Text as lines that flow. */
static void put_text(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        text += strspn(text, " \n");
        const size_t length = strcspn(text, " \n");
        if (length == 0)
            break;
        if (column > 0 && column + 1 + 2 * length > LINE_BYTES) {
            fputc('\n', out);
            column = 0;
        }
        if (column > 0)
            fputc(' ', out), column++;
        column += put_word(out, text, length, column == 0);
        if (ends_sentence(text, length)) {
            fputc('\n', out);
            column = 0;
        }
        text += length;
    }
    if (column > 0)
        fputc('\n', out);
}

/* Lines as they stand. */
static void put_literal(FILE *out, const char *text)
{
    fputs(".Bd -literal -compact\n", out);
    while (*text) {
        const size_t length = strcspn(text, "\n");
        put_word(out, text, length, true);
        fputc('\n', out);
        text += length + (text[length] == '\n');
    }
    fputs(".Ed\n", out);
}

/* The summary: lines that begin with two blanks are a list as it stands, the others flow. */
static void put_summary(FILE *out, const char *text)
{
    char *lines = strdup(text), *rest = lines, *line;
    bool is_list = false;
    while (lines && (line = strsep(&rest, "\n")) != NULL) {
        const bool is_item = strncmp(line, "  ", 2) == 0;
        if (is_item != is_list)
            fputs(is_item ? ".Bd -literal -compact\n" : ".Ed\n", out);
        is_list = is_item;
        if (is_item) {
            put_word(out, line, strlen(line), true);
            fputc('\n', out);
        } else {
            put_text(out, line);
        }
    }
    if (is_list)
        fputs(".Ed\n", out);
    free(lines);
}

static void put_options(FILE *out, const struct cli_option *options)
{
    for (; options && options->name; options++) {
        fputs(".It ", out);
        put_word(out, "--", 2, false);
        put_word(out, options->name, strlen(options->name), false);
        if (options->argument) {
            fputs(" Ar ", out);
            put_word(out, options->argument, strlen(options->argument), false);
        }
        fputc('\n', out);
        put_text(out, options->help);
    }
}

static void put_settings(FILE *out, unsigned programs)
{
    fputs(".Sh SETTINGS\nIn the file of\n.Fl \\-config\nas [SECTION] and KEY = VALUE, or by\n.Fl \\-set .\n.Bl -tag -width Ds\n.It "
          "kafka.*\n"
          "any property of librdkafka; kafka.bootstrap.servers is required\n",
          out);
    for (const struct setting *setting = settings_table; setting->key; setting++) {
        if ((setting->programs & programs) == 0)
            continue;
        char text[TEXT_BYTES];
        snprintf(text, sizeof text, "%s; unless set: %s", setting->help, setting->fallback[0] ? setting->fallback : "empty");
        fprintf(out, ".It %s\n", setting->key);
        put_text(out, text);
    }
    fputs(".El\n", out);
}

/* "November 29, 2026", whatever the locale. */
static void put_date(FILE *out)
{
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const int64_t wall_us = epoch ? strtoll(epoch, NULL, 10) * CLOCK_SECOND_US : clock_wall_us();
    char day[CLOCK_DAY_BYTES]; /* YYYY-MM-DD */
    clock_format_day(day, clock_day_of(wall_us));
    const long month = strtol(day + MONTH_DIGITS, NULL, 10), date = strtol(strrchr(day, '-') + 1, NULL, 10);
    fprintf(out, ".Dd %s %ld, %.4s\n", months[month - 1], date, day);
}

/* The first sentence of the summary, without its end, as the line of apropos(1). */
static void put_description(FILE *out, const char *summary)
{
    size_t length = strcspn(summary, "\n");
    const char *end = memmem(summary, length, ". ", 2);
    length = end ? (size_t)(end - summary) : length;
    while (length > 0 && strchr(".: ", summary[length - 1]))
        length--;
    fputs(".Nd ", out);
    put_word(out, summary, length, false);
    fputc('\n', out);
}

void cli_man_write(FILE *out, const struct cli *cli, const struct cli_option *common)
{
    char name[80];
    snprintf(name, sizeof name, "%s", cli->program);
    for (char *at = name; *at; at++)
        *at = *at == ' ' ? '-' : *at; /* a command's page: tallymill-audit(1) */
    put_date(out);
    fputs(".Dt ", out);
    for (const char *at = name; *at; at++)
        fputc(toupper((unsigned char)*at), out);
    fprintf(out, " 1\n.Os\n.Sh NAME\n.Nm %s\n", name);
    put_description(out, cli->summary);
    fputs(".Sh SYNOPSIS\n", out);
    fputs(".Bd -literal -compact\n", out);
    fprintf(out, "%s ", cli->program);
    put_word(out, cli->usage, strlen(cli->usage), false);
    fputs("\n.Ed\n.Sh DESCRIPTION\n", out);
    put_summary(out, cli->summary);
    fputs(".Sh OPTIONS\n.Bl -tag -width Ds\n", out);
    put_options(out, cli->options);
    put_options(out, common);
    fputs(".El\n", out);
    put_settings(out, cli->programs);
    fputs(".Sh EXIT STATUS\n", out);
    put_text(out, cli->exit_codes ? cli->exit_codes : cli_exit_codes);
    if (cli->examples) {
        fputs(".Sh EXAMPLES\n", out);
        put_literal(out, cli->examples);
    }
}
