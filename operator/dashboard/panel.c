/* panel.c - see panel.h.
 *
 * Days and words of closed lists stand in the query as literals rather than as parameters: the page shows the query as it was
 * asked, to be copied into psql, and none of them is a text from outside. The one that is, a chosen language, is a parameter; only
 * the text that is shown has it quoted.
 */
#include "operator/dashboard/panel.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "operator/dashboard/range.h"

enum { ZONES = 3, SHIFT_BYTES = 24 };

static const char *const words[PANEL_WORDS] = {"title",  "sub",     "tab",   "show", "unit",   "good", "zones",
                                               "target", "compare", "range", "who",  "filter", "picks"};

/* What a word may say, between blanks; NULL: anything. */
static const char *const choices[PANEL_WORDS] = {[PANEL_SHOW] = " number line list bars funnel classes heat table ",
                                                 [PANEL_UNIT] = " count share ms money bytes score rate ",
                                                 [PANEL_GOOD] = " up down none ",
                                                 [PANEL_COMPARE] = " no ",
                                                 [PANEL_RANGE] = " today days ",
                                                 [PANEL_FILTER] = " language none ",
                                                 [PANEL_PICKS] = " language "};

static bool is_choice(const char *choice, const char *value)
{
    char padded[PANEL_VALUE_BYTES + 2];
    snprintf(padded, sizeof padded, " %s ", value);
    return strchr(value, ' ') == NULL && strstr(choice, padded) != NULL;
}

static bool take(struct panel *panel, enum panel_word which, const char *begin, size_t length, struct error *err)
{
    char *value = panel->words[which];
    while (length > 0 && isspace((unsigned char)*begin)) {
        begin++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)begin[length - 1]))
        length--;
    if (value[0] != '\0')
        return error_set(err, ERROR_USAGE, "%s is declared twice", words[which]);
    if (length == 0 || length >= PANEL_VALUE_BYTES)
        return error_set(err, ERROR_USAGE, "%s has 1 to %d bytes", words[which], PANEL_VALUE_BYTES - 1);
    memcpy(value, begin, length);
    value[length] = '\0';
    if (choices[which] && !is_choice(choices[which], value))
        return error_set(err, ERROR_USAGE, "%s is one of%snot \"%s\"", words[which], choices[which], value);
    return true;
}

static bool read_line(struct panel *panel, const char *line, size_t length, struct error *err)
{
    for (int i = 0; i < PANEL_WORDS; i++) {
        const size_t word = strlen(words[i]);
        if (length > word + 4 && strncmp(line, "-- ", 3) == 0 && strncmp(line + 3, words[i], word) == 0 && line[3 + word] == ':')
            return take(panel, (enum panel_word)i, line + 4 + word, length - 4 - word, err);
    }
    return true;
}

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '_')
            return false;
    return length > 0 && length < PANEL_NAME_BYTES;
}

/* So many numbers, between blanks, and nothing else. */
static bool is_numbers(const char *text, int count)
{
    char *end;
    for (; count > 0; count--, text = end) {
        const double number = strtod(text, &end);
        if (end == text || !isfinite(number))
            return false;
    }
    return text[strspn(text, " ")] == '\0';
}

/* What else would only fail where it is drawn. */
static bool check(const struct panel *panel, struct error *err)
{
    const char *zones = panel->words[PANEL_ZONES], *target = panel->words[PANEL_TARGET];
    for (int i = PANEL_TITLE; i <= PANEL_GOOD; i++)
        if (panel->words[i][0] == '\0')
            return error_set(err, ERROR_USAGE, "a line \"-- %s: ...\" is missing", words[i]);
    if (strcmp(panel->words[PANEL_SHOW], "classes") == 0 && zones[0] == '\0')
        return error_set(err, ERROR_USAGE, "a panel of classes needs a line \"-- zones: 500 1000 2000\": where its classes end");
    if (zones[0] != '\0' && !is_numbers(zones, ZONES))
        return error_set(err, ERROR_USAGE, "zones has %d numbers, such as 500 1000 2000, not \"%s\"", ZONES, zones);
    if (target[0] != '\0' && !is_numbers(target, 1))
        return error_set(err, ERROR_USAGE, "target is a number, such as 0.7, not \"%s\"", target);
    return true;
}

bool panel_parse(const char *file_name, char *text, struct panel *panel, struct error *err)
{
    const size_t length = strlen(file_name);
    memset(panel, 0, sizeof *panel);
    if (length < 5 || !is_name(file_name, length - 4))
        return error_set(err, ERROR_USAGE, "a panel's file is NAME.sql, with a NAME of a-z, 0-9 and _");
    memcpy(panel->name, file_name, length - 4);
    for (const char *at = text; *at != '\0';) { /* ends: with the text */
        const size_t line = strcspn(at, "\n");
        if (!read_line(panel, at, line, err))
            return false;
        at += line + (at[line] == '\n');
    }
    if (!check(panel, err))
        return false;
    size_t end = strlen(text);
    while (end > 0 && (isspace((unsigned char)text[end - 1]) || text[end - 1] == ';'))
        end--;
    text[end] = '\0';
    panel->query = text;
    return true;
}

int panel_place(const struct panel *panel, const char *tab)
{
    const size_t length = strlen(tab);
    for (const char *at = panel->words[PANEL_TAB]; at; at = strchr(at, ',')) { /* ends: with the text */
        at += strspn(at, ", ");
        if ((strncmp(at, tab, length) == 0 && at[length] == ' ') || strncmp(at, "all ", 4) == 0)
            return atoi(strchr(at, ' '));
        if (*at == '\0')
            break;
    }
    return 0;
}

bool panel_is_for(const struct panel *panel, const struct range *range)
{
    const char *wanted = panel->words[PANEL_RANGE], *filter = panel->words[PANEL_FILTER];
    if (filter[0] != '\0' && panel_is_filtered(panel) != (range->language[0] != '\0'))
        return false;
    return wanted[0] == '\0' || (strcmp(wanted, "today") == 0) == (strcmp(range->name, "today") == 0);
}

bool panel_is_filtered(const struct panel *panel)
{
    return strcmp(panel->words[PANEL_FILTER], "language") == 0;
}

bool panel_knows(const struct panel *panel, const char *who)
{
    return panel->words[PANEL_WHO][0] == '\0' || strstr(panel->words[PANEL_WHO], who) != NULL;
}

/* ---- the query ---- */

static const char prefix[] = "analytics_";

/* The length of the table's name that begins here, 0: none does. */
static size_t table_at(const char *text, const char *at)
{
    size_t length = sizeof prefix - 1;
    if (strncmp(at, prefix, length) != 0 || (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_')))
        return 0;
    if (strncmp(at + length, "daily_", 6) != 0 && strncmp(at + length, "weekly_", 7) != 0 &&
        strncmp(at + length, "internal_", 9) != 0)
        return 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_')
        length++;
    return length;
}

/* Only what stands outside of comments names a table. */
static const char *skip_comment(const char *at)
{
    return strncmp(at, "--", 2) == 0 ? at + strcspn(at, "\n") : at;
}

void panel_each_table(const char *sql, void (*each)(void *context, const char *name, size_t length), void *context)
{
    for (const char *at = sql; *at != '\0';) { /* ends: with the text */
        const char *behind = skip_comment(at);
        const size_t length = behind == at ? table_at(sql, at) : 0;
        if (length > 0)
            each(context, at, length);
        at = behind > at ? behind : at + (length > 0 ? length : 1);
    }
}

/* A table that says of each row whose it is needs no twin. */
static bool has_twin(const char *name, size_t length)
{
    static const char uniques[] = "analytics_daily_uniques";
    return length != sizeof uniques - 1 || strncmp(name, uniques, length) != 0;
}

static void write_table(FILE *out, const char *name, size_t length, const char *who)
{
    const int rest = (int)(length - (sizeof prefix - 1));
    const char *behind = name + sizeof prefix - 1;
    if (strcmp(who, "external") == 0 || !has_twin(name, length))
        fprintf(out, "public.%.*s", (int)length, name);
    else if (strcmp(who, "internal") == 0)
        fprintf(out, "public.analytics_internal_%.*s", rest, behind);
    else
        fprintf(out, "(SELECT * FROM public.%.*s UNION ALL SELECT * FROM public.analytics_internal_%.*s)", (int)length, name, rest,
                behind);
}

/* A value where :'NAME' stands here; the length of that, 0: none does. */
static size_t write_value(FILE *out, const char *at, const char *const (*values)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(values[i][0]);
        if (strncmp(at, ":'", 2) == 0 && strncmp(at + 2, values[i][0], length) == 0 && at[2 + length] == '\'') {
            fprintf(out, "'%s'", values[i][1]);
            return length + 3;
        }
    }
    return 0;
}

/* As a literal of SQL, with standard_conforming_strings. */
static void write_quoted(FILE *out, const char *text)
{
    putc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            putc('\'', out);
        putc(*text, out);
    }
    putc('\'', out);
}

/* :'language' where it stands here; its length, 0: it does not. */
static size_t write_language(FILE *out, const char *at, const char *language, enum panel_form form)
{
    static const char name[] = ":'language'";
    if (strncmp(at, name, sizeof name - 1) != 0)
        return 0;
    if (form == PANEL_ASKED)
        fputs("$1", out);
    else
        write_quoted(out, language);
    return sizeof name - 1;
}

char *panel_sql(const struct panel *panel, const struct range *range, int32_t first, int32_t last, const char *tab,
                enum panel_form form)
{
    char first_text[CLOCK_DAY_BYTES], last_text[CLOCK_DAY_BYTES], shift[SHIFT_BYTES], *sql = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&sql, &size);
    if (!out)
        return NULL;
    clock_format_day(first_text, first);
    clock_format_day(last_text, last);
    snprintf(shift, sizeof shift, "%" PRId32 " days", range->first - first);
    const char *const values[][2] = {{"first", first_text}, {"last", last_text}, {"grain", range->grain},
                                     {"who", range->who},   {"tab", tab},        {"shift", shift}};
    for (const char *at = panel->query; *at != '\0';) { /* ends: with the text */
        const char *behind = skip_comment(at);
        if (behind > at) { /* the comments are the file's; the page shows the query */
            at = *behind == '\n' && (at == panel->query || at[-1] == '\n') ? behind + 1 : behind;
            continue;
        }
        const char *table = strncmp(at, "public.", 7) == 0 ? at + 7 : at;
        size_t length = table_at(panel->query, table);
        if (length > 0 && table > at) {
            write_table(out, table, length, range->who);
            at = table + length;
        } else if ((length = write_value(out, at, values, sizeof values / sizeof *values)) > 0 ||
                   (panel_is_filtered(panel) && (length = write_language(out, at, range->language, form)) > 0)) {
            at += length;
        } else {
            putc(*at++, out);
        }
    }
    return fclose(out) == 0 ? sql : NULL;
}
