/* likeness.c - see likeness.h.
 *
 * A bad line costs one line, and a file of something else costs all of them, with the same reason each: so it is refused before the
 * first event, with what reads it. That takes certainty: two lines that are no JSON and agree in another form. One line is not
 * enough, because a pipe may begin in the middle of one; and a line that begins as JSON does is taken for it, whatever stands in
 * it.
 *
 * Rejected: to read what is found as if it had been asked for. A table that looks like another one would be in the wrong columns
 * for years, and the mapping has to be given anyway. Only between CSV's delimiters is chosen, where no other can be meant.
 */
#include "producer/import/likeness.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "producer/import/combined.h"
#include "producer/library/value.h"

enum { LINES = 3, LOOK_BYTES = 64 * 1024, BLANK_FIELDS_MIN = 8 };

struct line {
    const char *text;
    size_t length;
    size_t number; /* in the file, from 1 */
};

/* The first lines that are not blank; one that may go on is none. */
struct beginning {
    struct line lines[LINES];
    size_t count;
    bool is_open; /* more lines may come */
};

static bool is_all_blank(const char *text, size_t length)
{
    size_t blank = 0;
    while (blank < length && (text[blank] == ' ' || text[blank] == '\t'))
        blank++;
    return blank == length;
}

/* Whichever of LF, CR LF and CR ends them. In CSV line ends in quotes end none. */
static struct beginning read_lines(const char *bytes, size_t length, bool is_all, bool has_quotes)
{
    struct beginning beginning = {.is_open = !is_all && length < LOOK_BYTES};
    size_t number = 1;
    for (size_t begin = 0; begin < length && beginning.count < LINES;) {
        bool is_quoted = false;
        size_t end = begin;
        for (; end < length && (is_quoted || (bytes[end] != '\n' && bytes[end] != '\r')); end++)
            is_quoted ^= has_quotes && bytes[end] == '"';
        if (end == length && beginning.is_open)
            break;
        if (!is_all_blank(bytes + begin, end - begin))
            beginning.lines[beginning.count++] = (struct line){bytes + begin, end - begin, number};
        begin = end + 1 + (end + 1 < length && bytes[end] == '\r' && bytes[end + 1] == '\n');
        number++;
    }
    beginning.is_open = beginning.is_open && beginning.count < LINES;
    return beginning;
}

static bool begins(const struct line *line, const char *word)
{
    size_t length = strlen(word);
    return line->length >= length && memcmp(line->text, word, length) == 0;
}

/* A comment of SQL: "--" alone, or a blank behind it. */
static bool is_sql_comment(const struct line *line)
{
    return begins(line, "--") && (line->length == 2 || line->text[2] == ' ');
}

static bool has(const struct line *line, const char *word)
{
    return memmem(line->text, line->length, word, strlen(word)) != NULL;
}

static bool ends(const struct line *line, char byte)
{
    size_t length = line->length;
    while (length > 0 && isspace((unsigned char)line->text[length - 1]))
        length--;
    return length > 0 && line->text[length - 1] == byte;
}

/* Fields with that delimiter between them; 0: a quote is open at the end. */
static size_t count_fields(const struct line *line, char delimiter)
{
    size_t fields = 1;
    bool is_quoted = false;
    for (size_t i = 0; i < line->length; i++) {
        is_quoted ^= line->text[i] == '"';
        fields += !is_quoted && line->text[i] == delimiter;
    }
    return is_quoted ? 0 : fields;
}

/* The delimiter that parts both lines into as many fields; 0: none does. */
static char find_delimiter(const struct line *one, const struct line *other)
{
    for (const char *delimiter = "\t;|,"; *delimiter != '\0'; delimiter++) {
        size_t fields = count_fields(one, *delimiter);
        if (fields > 1 && fields == count_fields(other, *delimiter))
            return *delimiter;
    }
    size_t fields = count_fields(one, ' ');
    return fields >= BLANK_FIELDS_MIN && fields == count_fields(other, ' ') && has(one, "\"") ? ' ' : 0;
}

static bool is_one_field(const struct line *line)
{
    for (const char *delimiter = "\t;|,"; *delimiter != '\0'; delimiter++)
        if (count_fields(line, *delimiter) != 1)
            return false;
    return !begins(line, "#");
}

static const char *delimiter_word(char delimiter)
{
    static const struct {
        char delimiter;
        const char *word;
    } words[] = {{'\t', "tab"}, {';', "';'"}, {'|', "'|'"}, {' ', "' '"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].delimiter == delimiter)
            return words[i].word;
    return "','";
}

static enum likeness_answer refuse(struct error *err, const char *what, const char *how)
{
    error_set(err, ERROR_USAGE, "it looks like %s, which is not read: say %s", what, how);
    return LIKENESS_OTHER;
}

/* A field that no header has: a number or a time. */
static bool has_data(const struct line *line, char delimiter)
{
    for (size_t i = 0; i < line->length; i++) {
        size_t digits = 0;
        if (i > 0 && line->text[i - 1] != delimiter)
            continue;
        while (i + digits < line->length && line->text[i + digits] != delimiter &&
               strchr("0123456789.-:+TZ ", line->text[i + digits]) != NULL)
            digits++;
        if (digits > 0 && isdigit((unsigned char)line->text[i]) &&
            (i + digits == line->length || line->text[i + digits] == delimiter))
            return true;
    }
    return false;
}

static enum likeness_answer refuse_csv(const struct line *line, char delimiter, struct likeness *likeness, struct error *err)
{
    const char *word = delimiter_word(delimiter);
    likeness->is_read = !has_data(line, delimiter);
    likeness->format = RECORD_CSV;
    likeness->other_delimiter = delimiter;
    if (likeness->is_read)
        error_set(err, ERROR_USAGE, "it looks like CSV with %s between the fields: say --format csv --delimiter %s",
                  delimiter == '\t' ? "tabs" : word, word);
    else
        error_set(err, ERROR_USAGE,
                  "it looks like CSV without a header: give its %zu fields numbers for names: say (seq -s %s %zu; cat FILE) | "
                  "tallymill-produce "
                  "--format csv --delimiter %s, and map these, such as --map event_name=1",
                  count_fields(line, delimiter), delimiter == '\t' ? "$'\\t'" : word, count_fields(line, delimiter), word);
    return LIKENESS_OTHER;
}

/* W3C's extended format: its fields' names are in a directive, and the time in two fields. */
static bool is_w3c(const struct line *line)
{
    return begins(line, "#Version:") || begins(line, "#Fields:") || begins(line, "#Software:");
}

static const char w3c_command[] =
    "awk '/^#Fields: /{sub(/^#Fields: /,\"\"); gsub(/ /,\"\\t\"); print \"at\\t\" $0; next} !/^#/{at=$1 \"T\" $2 \"Z\"; gsub(/ "
    "/,\"\\t\"); print at \"\\t\" "
    "$0}' FILE | tr -d '\\r' | tallymill-produce --format csv --delimiter tab --map created_at=at ...";

/* Texts that are marked by how they begin, whatever they were taken for. */
static enum likeness_answer look_at_marks(const struct line *line, struct error *err)
{
    if (is_w3c(line))
        return refuse(err, "a log in W3C's extended format (IIS, CloudFront)", w3c_command);
    if (begins(line, "<!DOCTYPE") || begins(line, "<!doctype") || begins(line, "<html"))
        return error_set(err, ERROR_USAGE, "it is a web page: download the file itself (was this the page to log in?)")
                   ? LIKENESS_NONE
                   : LIKENESS_OTHER;
    if (begins(line, "<?xml"))
        return refuse(err, "XML",
                      "xq -c '.EVENTS.EVENT[]' FILE | tallymill-produce ..., with the names that its elements have (xq is in "
                      "Debian's package yq)");
    if (begins(line, "INSERT INTO ") || begins(line, "CREATE TABLE ") || begins(line, "COPY ") || is_sql_comment(line))
        return refuse(err, "SQL", "psql -c \"\\copy TABLE TO 'FILE.csv' CSV HEADER\", or what exports that table as CSV");
    return LIKENESS_NONE;
}

static bool is_combined(const struct line *line)
{
    struct error ignored;
    struct value_pool *pool = value_pool_new();
    bool is_one = pool != NULL && combined_object(pool, line->text, line->length, &ignored) != NULL;
    value_pool_free(pool);
    return is_one;
}

/* time=... level=info msg="..." */
static bool is_logfmt(const struct line *line)
{
    size_t pairs = 0;
    bool is_key = true, is_quoted = false;
    for (size_t i = 0; i < line->length; i++) {
        char byte = line->text[i];
        is_quoted ^= byte == '"';
        if (byte == ' ' && !is_quoted)
            is_key = true;
        else if (byte == '=' && is_key && i > 0 && line->text[i - 1] != ' ')
            pairs++, is_key = false;
    }
    return pairs > 1 && memchr(line->text, '=', line->length) < memchr(line->text, ' ', line->length);
}

static bool is_rule(const struct line *line)
{
    for (size_t i = 0; i < line->length; i++)
        if (strchr("-+| =", line->text[i]) == NULL)
            return false;
    return line->length >= 3;
}

static bool is_json_begin(char byte)
{
    return byte == '{' || byte == '[' || byte == '"' || byte == '\x1e';
}

/* JSON behind something else, to the end of the line. */
static bool has_json_behind(const struct line *line)
{
    return !is_json_begin(*line->text) && has(line, "{\"") && ends(line, '}');
}

/* What stands before the first value that is no array: how many brackets. */
static size_t count_arrays(const char *bytes, size_t length, char *first)
{
    size_t arrays = 0, at = 0;
    for (; at < length && (isspace((unsigned char)bytes[at]) || bytes[at] == '['); at++)
        arrays += bytes[at] == '[';
    *first = at < length ? bytes[at] : '\0';
    return arrays;
}

/* It begins as JSON does: 'python', [[arrays]], [an array] a line. */
static enum likeness_answer look_at_json(const struct beginning *beginning, const char *bytes, size_t length, struct error *err)
{
    char first, second;
    const size_t arrays = count_arrays(bytes, length, &first);
    if (arrays == 0) {
        const char *object = memchr(bytes, '{', length);
        if (object == bytes + length - 1)
            return beginning->is_open ? LIKENESS_MORE : LIKENESS_NONE;
        if (first == '{' && object[1] == '\'')
            return refuse(err, "Python's print",
                          "python3 -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(s))) for s in sys.stdin]' < FILE "
                          "| tallymill-produce ...");
        return LIKENESS_NONE;
    }
    if (beginning->is_open && beginning->count < 2)
        return first == '{' || first == ']' ? LIKENESS_NONE : LIKENESS_MORE;
    if (arrays > 2 || first == '{' || first == ']' || (beginning->count > 1 && *beginning->lines[1].text == '{'))
        return LIKENESS_NONE;
    if (arrays == 2)
        return refuse(err, "an array of arrays", "jq -r '.[] | @csv' FILE | tallymill-produce --format csv ...");
    if (beginning->count < 2 || !ends(&beginning->lines[0], ']') || !ends(&beginning->lines[1], ']') ||
        count_arrays(beginning->lines[1].text, beginning->lines[1].length, &second) != 1)
        return LIKENESS_NONE;
    return refuse(err, "an array a line", "jq -r @csv FILE | tallymill-produce --format csv ...");
}

/* Two lines that are no JSON and look alike. */
static enum likeness_answer look_at_lines(const struct line *one, const struct line *other, struct likeness *likeness,
                                          struct error *err)
{
    if (has_json_behind(one) && has_json_behind(other))
        return refuse(err, "JSON behind other text", "sed 's/^[^{]*//' FILE | tallymill-produce ...");
    if ((begins(one, "- ") && (begins(other, "  ") || begins(other, "- "))) || (begins(one, "---") && one->length == 3))
        return refuse(err, "YAML", "yq -c '.[]' FILE | tallymill-produce ... (Debian's package yq)");
    if (is_rule(other) || is_rule(one))
        return refuse(err, "a table drawn for people", "psql --csv, or what writes CSV there");
    if (is_logfmt(one) && is_logfmt(other))
        return refuse(err, "logfmt", "mlr --idkvp --ifs ' ' --ojsonl cat FILE | tallymill-produce ...");
    char delimiter = find_delimiter(one, other);
    return delimiter != 0 && memchr(one->text, '{', one->length) == NULL ? refuse_csv(one, delimiter, likeness, err)
                                                                         : LIKENESS_NONE;
}

static enum likeness_answer look_for_ndjson(const char *bytes, size_t length, bool is_all, struct likeness *likeness,
                                            struct error *err)
{
    struct beginning beginning = read_lines(bytes, length, is_all, false);
    size_t blank = 0;
    while (blank < length && isspace((unsigned char)bytes[blank]))
        blank++;
    if (blank == length)
        return beginning.is_open ? LIKENESS_MORE : LIKENESS_NONE;
    if (is_json_begin(bytes[blank]))
        return look_at_json(&beginning, bytes, length, err);
    if (beginning.count == 0)
        return beginning.is_open ? LIKENESS_MORE : LIKENESS_NONE;
    enum likeness_answer answer = look_at_marks(&beginning.lines[0], err);
    if (answer == LIKENESS_NONE && is_combined(&beginning.lines[0])) {
        *likeness = (struct likeness){.is_read = true, .format = RECORD_COMBINED};
        error_set(err, ERROR_USAGE,
                  "it looks like a web server's log: say --format combined --const event_name=page_view --map session_id=client "
                  "--map created_at=time --rest event_data");
        answer = LIKENESS_OTHER;
    }
    if (answer != LIKENESS_NONE)
        return answer;
    if (beginning.count == 1)
        return beginning.is_open ? LIKENESS_MORE : LIKENESS_NONE;
    return is_json_begin(*beginning.lines[1].text) ? LIKENESS_NONE
                                                   : look_at_lines(&beginning.lines[0], &beginning.lines[1], likeness, err);
}

/* Lines before the header: one field, and behind it lines of more. */
static enum likeness_answer look_for_preamble(const struct beginning *beginning, char delimiter, struct error *err)
{
    const struct line *one = &beginning->lines[0], *two = &beginning->lines[1], *three = &beginning->lines[2];
    const size_t fields = beginning->count > 1 ? count_fields(two, delimiter) : 0;
    if (begins(one, "#") && beginning->count > 1 && (begins(two, "#") || fields != count_fields(one, delimiter)))
        return refuse(err, "CSV behind lines of comment", "grep -v '^#' FILE | tallymill-produce --format csv ...");
    if (beginning->count < LINES || count_fields(one, delimiter) != 1 || fields < 2 || fields != count_fields(three, delimiter))
        return LIKENESS_NONE;
    char how[128];
    snprintf(how, sizeof how, "tail -n +%zu FILE | tallymill-produce --format csv ...", two->number);
    return refuse(err, "CSV behind a line that is no header", how);
}

static enum likeness_answer look_for_csv(char delimiter, const char *bytes, size_t length, bool is_all, struct likeness *likeness,
                                         struct error *err)
{
    struct beginning beginning = read_lines(bytes, length, is_all, true);
    if (beginning.count == 0)
        return beginning.is_open ? LIKENESS_MORE : LIKENESS_NONE;
    const struct line *header = &beginning.lines[0];
    enum likeness_answer answer = look_at_marks(header, err);
    if (answer != LIKENESS_NONE)
        return answer;
    if (begins(header, "{\"") || begins(header, "[{")) {
        *likeness = (struct likeness){.is_read = true, .format = RECORD_NDJSON};
        error_set(err, ERROR_USAGE, "it holds JSON: say --format ndjson");
        return LIKENESS_OTHER;
    }
    if (count_fields(header, delimiter == 0 ? ',' : delimiter) > 1 && !begins(header, "#"))
        return LIKENESS_NONE;
    if (beginning.is_open && (beginning.count == 1 || !is_one_field(&beginning.lines[1])))
        return LIKENESS_MORE;
    for (const char *other = "\t;|"; delimiter == 0 && *other != '\0'; other++)
        if (count_fields(header, *other) > 1 && count_fields(header, ',') == 1 &&
            (beginning.count == 1 || count_fields(header, *other) == count_fields(&beginning.lines[1], *other)))
            delimiter = likeness->delimiter = *other;
    if (delimiter == 0 && beginning.count == LINES)
        delimiter = find_delimiter(&beginning.lines[1], &beginning.lines[2]);
    return look_for_preamble(&beginning, delimiter == 0 ? ',' : delimiter, err);
}

enum likeness_answer likeness_look(enum record_format format, char delimiter, const char *bytes, size_t length, bool is_all,
                                   struct likeness *likeness, struct error *err)
{
    *likeness = (struct likeness){.delimiter = delimiter};
    switch (format) {
    case RECORD_NDJSON: return look_for_ndjson(bytes, length, is_all, likeness, err);
    case RECORD_CSV: return look_for_csv(delimiter, bytes, length, is_all, likeness, err);
    default: return LIKENESS_NONE;
    }
}
