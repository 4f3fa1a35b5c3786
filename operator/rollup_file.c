/* rollup_file.c - see rollup_file.h.
 *
 * The declarations are comments so that the file is one statement that psql runs as it stands. Names are held to plain lower case:
 * they become a table and its columns, and an operator should never have to quote one. A word that is misspelled is prose to us,
 * and is noticed because the declaration is then missing.
 */
#include "operator/rollup_file.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/settings.h"
#include "common/settings_value.h"

enum { MAX_NAME = 50, VALUE_BYTES = 256 };

static const struct setting cadence = {.key = "cadence", .type = SETTING_DURATION, .min = CLOCK_SECOND_US, .max = CLOCK_DAY_US};

enum declaration { TARGET, KEY, CADENCE, LOOKS_BACK, RANGE, DECLARATIONS };
static const char *const words[DECLARATIONS] = {"target", "key", "cadence", "looks_back", "range"};

static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length > MAX_NAME || !islower((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '_')
            return false;
    return true;
}

static bool read_target(const char *value, struct rollup_file *file, struct error *err)
{
    bool is_ours = strncmp(value, "analytics_daily_", 16) == 0 || strncmp(value, "analytics_weekly_", 17) == 0;
    if (!is_ours || !is_name(value, strlen(value)) || value[strlen(value) - 1] == '_')
        return error_set(err, ERROR_USAGE,
                         "target is analytics_daily_NAME or analytics_weekly_NAME (a-z, 0-9, _; at most %d), not %s", MAX_NAME,
                         value);
    if (strcmp(value, "analytics_daily_stats") == 0 || strcmp(value, "analytics_daily_rollup") == 0)
        return error_set(err, ERROR_USAGE, "target %s is taken: it is no rollup's name", value);
    memcpy(file->target, value, strlen(value) + 1); /* is_name has bounded it */
    return true;
}

/* "date, stage" as "{date,stage}". */
static bool read_key(const char *value, struct rollup_file *file, struct error *err)
{
    size_t used = 0;
    for (const char *at = value;;) { /* ends: with the text */
        at += strspn(at, " ");
        size_t length = strcspn(at, ", ");
        if (!is_name(at, length))
            return error_set(err, ERROR_USAGE, "key is column names between commas, not \"%s\"", value);
        if (used + length + 3 > sizeof file->keys)
            return error_set(err, ERROR_USAGE, "key has too many columns");
        used += (size_t)snprintf(file->keys + used, sizeof file->keys - used, "%s%.*s", used == 0 ? "{" : ",", (int)length, at);
        at += length;
        at += strspn(at, " ");
        if (*at == '\0')
            break;
        if (*at++ != ',')
            return error_set(err, ERROR_USAGE, "key is column names between commas, not \"%s\"", value);
    }
    memcpy(file->keys + used, "}", 2);
    return true;
}

static bool read_declaration(enum declaration which, const char *value, struct rollup_file *file, struct error *err)
{
    switch (which) {
    case TARGET: return read_target(value, file, err);
    case KEY: return read_key(value, file, err);
    case CADENCE: return settings_value_parse(&cadence, value, &file->cadence_us, err) || error_wrap(err, "cadence");
    case RANGE:
        file->is_range = true;
        return strcmp(value, "yes") == 0 || error_set(err, ERROR_USAGE, "range is yes or not there, not \"%s\"", value);
    default:
        file->looks_back = true;
        return strcmp(value, "all") == 0 || error_set(err, ERROR_USAGE, "looks_back is all or not there, not \"%s\"", value);
    }
}

/* A line as declaration and value, if it is one. */
static bool split(const char *line, size_t length, enum declaration *which, char value[VALUE_BYTES])
{
    for (int i = 0; i < DECLARATIONS; i++) {
        size_t word = strlen(words[i]), begin = 3 + word + 1;
        if (length < begin || strncmp(line, "-- ", 3) != 0 || strncmp(line + 3, words[i], word) != 0 || line[3 + word] != ':')
            continue;
        while (begin < length && isspace((unsigned char)line[begin]))
            begin++;
        while (length > begin && isspace((unsigned char)line[length - 1]))
            length--;
        snprintf(value, VALUE_BYTES, "%.*s", (int)(length - begin), line + begin);
        *which = (enum declaration)i;
        return true;
    }
    return false;
}

static bool read_declarations(const char *text, struct rollup_file *file, int *line, struct error *err)
{
    bool is_there[DECLARATIONS] = {false};
    *line = 0;
    for (const char *at = text; *at != '\0';) { /* ends: with the text */
        size_t length = strcspn(at, "\n");
        enum declaration which;
        char value[VALUE_BYTES];
        ++*line;
        if (split(at, length, &which, value)) {
            if (is_there[which])
                return error_set(err, ERROR_USAGE, "%s is declared twice", words[which]);
            is_there[which] = true;
            file->key_line = which == KEY ? *line : file->key_line;
            if (!read_declaration(which, value, file, err))
                return false;
        }
        at += length + (at[length] == '\n');
    }
    *line = 1;
    for (int i = TARGET; i <= CADENCE; i++)
        if (!is_there[i])
            return error_set(err, ERROR_USAGE, "a line \"-- %s: ...\" is missing", words[i]);
    const char *period = strncmp(file->target, "analytics_weekly_", 17) == 0 ? "week" : "date";
    size_t length = strlen(period);
    if (strncmp(file->keys + 1, period, length) != 0 || strchr(",}", file->keys[1 + length]) == NULL)
        return error_set(err, ERROR_USAGE, "the key of %s begins with %s, which the program adds to the query's columns",
                         file->target, period);
    return true;
}

bool rollup_file_parse(const char *file_name, char *text, struct rollup_file *file, int *line, struct error *err)
{
    *file = (struct rollup_file){.query = text};
    size_t length = strlen(file_name), end = strlen(text);
    *line = 1;
    if (length < 5 || strcmp(file_name + length - 4, ".sql") != 0 || !is_name(file_name, length - 4))
        return error_set(err, ERROR_USAGE, "a rollup's file is NAME.sql, with a NAME of a-z, 0-9 and _, at most %d", MAX_NAME);
    snprintf(file->name, sizeof file->name, "%.*s", (int)(length - 4), file_name);
    if (!read_declarations(text, file, line, err))
        return false;
    while (end > 0 && isspace((unsigned char)text[end - 1]))
        end--;
    if (end > 0 && text[end - 1] == ';')
        end--;
    text[end] = '\0';
    return true;
}

int rollup_file_line_of(const char *text, long position)
{
    int line = 1;
    for (long character = 1; *text != '\0' && character < position; text++) {
        line += *text == '\n';
        character += ((unsigned char)text[1] & 0xC0) != 0x80; /* the next byte begins a character */
    }
    return line;
}

static bool is_of_word(char character)
{
    return isalnum((unsigned char)character) || character == '_' || ((unsigned char)character & 0x80) != 0;
}

/* Behind the comment that begins here; `at` itself where none does. */
static const char *skip_comment(const char *at)
{
    const char *end = at;
    if (strncmp(at, "--", 2) == 0)
        end = at + strcspn(at, "\n");
    else if (strncmp(at, "/*", 2) == 0)
        end = (end = strstr(at + 2, "*/")) != NULL ? end + 2 : at + strlen(at);
    return end;
}

int rollup_file_line_with(const char *text, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = text; *at != '\0';) { /* ends: with the text */
        const char *behind = skip_comment(at);
        if (behind == at && strncasecmp(at, word, length) == 0 && (at == text || !is_of_word(at[-1])) && !is_of_word(at[length])) {
            int line = 1;
            for (const char *before = text; before < at; before++)
                line += *before == '\n';
            return line;
        }
        at = behind > at ? behind : at + 1;
    }
    return 0;
}
