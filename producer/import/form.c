/* form.c - see form.h.
 *
 * A line that comes through a pipe must not wait for the next one, so everything is told by as few bytes as tell it: one line,
 * mostly.
 *
 * NDJSON and a stream of objects are told apart by the first object. When it ends where its line does, there is one a line: then a
 * bad line costs one line. When its first line leaves it open and the next one goes on with it, it is a stream. A first line that
 * was cut is followed by one that begins an object anew, and stays a line.
 */
#include "producer/import/form.h"

#include <string.h>
#include <strings.h>

#include "common/error.h"

enum { LOOK_BYTES = 64 * 1024, TAR_MAGIC_AT = 257, TAR_MAGIC_BYTES = 5, CONTROL_BYTES = 32 };

#define RS 0x1e /* of RFC 7464 */

struct foreign {
    const char *magic;
    size_t length;
    bool is_text; /* a CSV may begin so: the file has a control character soon behind it */
    const char *name, *advice;
};

static const struct foreign foreign_forms[] = {
    {"PK\3\4", 4, false, "a zip file",
     "say unzip -p FILE | tallymill-produce ... (a spreadsheet, .xlsx or .ods, is one too: save it as CSV)"},
    {"PK\5\6", 4, false, "an empty zip file", "say unzip -p FILE | tallymill-produce ..."},
    {"PAR1", 4, true, "a Parquet file", "say duckdb -c \"COPY (FROM 'FILE') TO 'FILE.ndjson' (FORMAT json)\""},
    {"7z\xbc\xaf\x27\x1c", 6, false, "a 7-Zip file", "say 7z x -so FILE | tallymill-produce ..."},
    {"Rar!\x1a\x07", 6, false, "a RAR file", "say unrar p -inul FILE | tallymill-produce ..."},
    {"\x04\x22\x4d\x18", 4, false, "packed by lz4", "say lz4 -dc FILE | tallymill-produce ..."},
    {"\x1f\x9d", 2, false, "packed by compress", "say gzip -dc FILE | tallymill-produce ..."},
    {"\xff\x06\x00\x00sNaPpY", 10, false, "packed by Snappy", "say snzip -dc FILE | tallymill-produce ..."},
    {"Obj\1", 4, false, "an Avro file", "say avro-tools tojson FILE | tallymill-produce ..."},
    {"ORC", 3, true, "an ORC file", "say orc-contents FILE | tallymill-produce ..."},
    {"ARROW1", 6, true, "an Arrow file", "write it as NDJSON with duckdb or pandas"},
    {"SQLite format 3", 16, false, "a SQLite database",
     "say sqlite3 -csv -header FILE 'SELECT ...' | tallymill-produce --format csv ..."},
    {"\x1f\x8b\x08", 3, false, "packed twice (gzip in something packed)", "say gzip -dc FILE | tallymill-produce ..."},
    {"\x28\xb5\x2f\xfd", 4, false, "packed twice (zstd in something packed)", "say zstd -dc FILE | tallymill-produce ..."},
    {"\xfd"
     "7zXZ",
     6, false, "packed twice (xz in something packed)", "say xz -dc FILE | tallymill-produce ..."},
    {"]\0\0", 3, false, "packed by lzma", "say xz -dc --format=lzma FILE | tallymill-produce ..."},
    {"LZIP\1", 5, false, "packed by lzip", "say lzip -dc FILE | tallymill-produce ..."},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, false, "an old Excel or Office file", "save it as CSV in the program that wrote it"},
    {"%PDF-", 5, false, "a PDF", "save it as CSV in the program that wrote it"},
    {"PGDMP\1", 6, false, "a dump of Postgres", "say psql -c \"\\copy TABLE TO 'FILE.csv' CSV HEADER\" where it was restored"},
    {"\x89HDF\r\n", 6, false, "an HDF5 file", "write it as CSV with pandas"},
};

/* tar has its magic behind the first name, which zeros fill up. */
static enum form_answer look_for_tar(const char *bytes, size_t length, bool is_all)
{
    if (memchr(bytes, 0, length < 100 ? length : 100) == NULL || (length < TAR_MAGIC_AT + TAR_MAGIC_BYTES && is_all))
        return FORM_KNOWN;
    if (length < TAR_MAGIC_AT + TAR_MAGIC_BYTES)
        return FORM_MORE;
    return memcmp(bytes + TAR_MAGIC_AT, "ustar", TAR_MAGIC_BYTES) == 0 ? FORM_FOREIGN : FORM_KNOWN;
}

static bool has_control(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && i < CONTROL_BYTES; i++)
        if ((unsigned char)bytes[i] < ' ' && strchr("\t\r\n", bytes[i]) == NULL)
            return true;
    return memchr(bytes, 0, length < CONTROL_BYTES ? length : CONTROL_BYTES) != NULL;
}

/* No text, and of no kind that is known: control characters soon in the first line. NULs at the beginning are the hole that a log
 * has that was cut while it was written; those that part fields (^A, ^_), RFC 7464's and a terminal's are none here. */
static bool is_binary(const char *bytes, size_t length)
{
    const unsigned char *text = (const unsigned char *)bytes;
    size_t controls = 0, others = 0;
    if (text[0] == 0 || strchr("{[\x1e", text[0]) != NULL)
        return false;
    for (size_t i = 0; i < length && i < CONTROL_BYTES && text[i] != '\n' && text[i] != '\r'; i++) {
        controls += text[i] == 0 || (text[i] > 3 && text[i] < '\a') || (text[i] > '\r' && text[i] < 0x1b);
        others += text[i] >= 0x80;
    }
    return controls > 1 || (controls == 1 && others > 0);
}

/* With the command as it is said to the program: through a pipe no name tells the format any more. */
static enum form_answer refuse(enum record_format format, const char *what, const char *advice, struct error *err)
{
    static const char program[] = "tallymill-produce ...";
    const char *at = format == RECORD_CSV ? strstr(advice, program) : NULL;
    if (at == NULL)
        error_set(err, ERROR_USAGE, "it is %s, which is not read: %s", what, advice);
    else
        error_set(err, ERROR_USAGE, "it is %s, which is not read: %.*stallymill-produce --format csv ...%s", what,
                  (int)(at - advice), advice, at + sizeof program - 1);
    return FORM_FOREIGN;
}

static enum form_answer look_for_foreign(enum record_format format, const char *bytes, size_t length, bool is_all,
                                         struct error *err)
{
    for (size_t i = 0; i < sizeof foreign_forms / sizeof *foreign_forms; i++) {
        const struct foreign *foreign = &foreign_forms[i];
        if (memcmp(bytes, foreign->magic, length < foreign->length ? length : foreign->length) != 0)
            continue;
        bool is_known = length >= foreign->length && (!foreign->is_text || has_control(bytes, length));
        if (!is_known && !is_all && length < CONTROL_BYTES)
            return FORM_MORE;
        if (!is_known)
            continue;
        return refuse(format, foreign->name, foreign->advice, err);
    }
    enum form_answer answer = look_for_tar(bytes, length, is_all);
    if (answer == FORM_FOREIGN)
        return refuse(format, "a tar archive", "say tar -xOf FILE | tallymill-produce ...", err);
    if (answer != FORM_KNOWN || !is_binary(bytes, length))
        return answer;
    error_set(err, ERROR_USAGE, "it is no text: say file FILE to learn what it is; or --format msgpack, if it is that");
    return FORM_FOREIGN;
}

/* Which byte ends the line: the first CR or LF outside quotes; LF also behind several CRs, as a CR LF that was written in text mode
 * once more. */
static enum form_answer look_for_end(const char *bytes, size_t length, bool is_all, bool has_quotes, struct form *form)
{
    bool is_quoted = false;
    form->line_end = '\n';
    for (size_t i = form->skip; i < length; i++) {
        if (bytes[i] == '"' && has_quotes)
            is_quoted = !is_quoted;
        if (is_quoted || (bytes[i] != '\r' && bytes[i] != '\n'))
            continue;
        size_t next = i;
        while (next < length && bytes[next] == '\r')
            next++;
        if (next == length && !is_all && length < LOOK_BYTES)
            return FORM_MORE;
        if (next == length || bytes[next] != '\n')
            form->line_end = '\r';
        return FORM_KNOWN;
    }
    return is_all || length >= LOOK_BYTES ? FORM_KNOWN : FORM_MORE;
}

/* Excel's first line: sep=; */
static enum form_answer look_for_separator(const char *bytes, size_t length, bool is_all, struct form *form, char *separator)
{
    static const char prefix[] = "sep=";
    size_t quoted = length > 0 && bytes[0] == '"', at = quoted + sizeof prefix - 1;
    if (strncasecmp(bytes + quoted, prefix, length - quoted < sizeof prefix - 1 ? length - quoted : sizeof prefix - 1) != 0)
        return FORM_KNOWN;
    if (length < at + 1 + quoted + 2)
        return is_all ? FORM_KNOWN : FORM_MORE;
    char found = bytes[at++];
    if (quoted && bytes[at++] != '"')
        return FORM_KNOWN;
    if (found == '"' || found == '\r' || found == '\n' || (bytes[at] != '\r' && bytes[at] != '\n'))
        return FORM_KNOWN;
    form->skip = at + 1 + (bytes[at] == '\r' && bytes[at + 1] == '\n');
    *separator = found;
    return FORM_KNOWN;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Where the value that begins at `at` ends, or its first line; `length`: further on. */
static size_t find_first_end(const char *bytes, size_t length, size_t at, bool *is_open)
{
    size_t depth = 0;
    bool is_text = false;
    *is_open = true;
    for (size_t i = at; i < length; i++) {
        char byte = bytes[i];
        if (byte == '\n' || byte == '\r')
            return i;
        if (is_text) {
            i += byte == '\\';
            is_text = byte != '"';
        } else if (byte == '"') {
            is_text = true;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if ((byte == '}' || byte == ']') && --depth == 0) {
            *is_open = false;
            return i + 1;
        }
    }
    return length;
}

static enum form_answer look_into_array(const char *bytes, size_t length, size_t at, bool is_all, struct form *form)
{
    do
        at++;
    while (at < length && is_blank(bytes[at]));
    if (at == length)
        return is_all || length >= LOOK_BYTES ? FORM_KNOWN : FORM_MORE;
    form->is_stream = bytes[at] == '{' || bytes[at] == ']';
    return FORM_KNOWN;
}

static enum form_answer look_for_stream(const char *bytes, size_t length, bool is_all, struct form *form)
{
    size_t at = 0;
    while (at < length && is_blank(bytes[at]))
        at++;
    if (at == length)
        return is_all || length >= LOOK_BYTES ? FORM_KNOWN : FORM_MORE;
    if (bytes[at] == '[') /* of objects, or empty; a line with another array is a bad line */
        return look_into_array(bytes, length, at, is_all, form);
    form->is_stream = bytes[at] == RS;
    if (bytes[at] != '{')
        return FORM_KNOWN;
    bool is_open;
    size_t next = find_first_end(bytes, length, at, &is_open);
    while (next < length && (is_open ? is_blank(bytes[next]) : bytes[next] == ' ' || bytes[next] == '\t'))
        next++;
    if (next == length)
        return is_all || length >= LOOK_BYTES ? FORM_KNOWN : FORM_MORE;
    form->is_stream =
        is_open ? bytes[next] == '"' || bytes[next] == '}' : bytes[next] == '{' || bytes[next] == ',' || bytes[next] == RS;
    return FORM_KNOWN;
}

static enum form_answer look_for_likeness(enum record_format format, char delimiter, const char *bytes, size_t length, bool is_all,
                                          struct form *form, struct error *err)
{
    switch (likeness_look(format, delimiter, bytes, length, is_all, &form->likeness, err)) {
    case LIKENESS_MORE: return FORM_MORE;
    case LIKENESS_OTHER: return FORM_FOREIGN;
    default: break;
    }
    if (form->likeness.delimiter != 0)
        form->delimiter = form->likeness.delimiter;
    return FORM_KNOWN;
}

/* Under a name of msgpack: as that, each byte would be a number, and a bad record. */
static enum form_answer look_for_text(const char *bytes, size_t length, bool is_all, struct form *form, struct error *err)
{
    enum { TEXT_BYTES = 4 };
    size_t seen = 0;
    for (; seen < length && seen < TEXT_BYTES; seen++)
        if (!is_blank(bytes[seen]) && (bytes[seen] < ' ' || bytes[seen] > '~'))
            return FORM_KNOWN;
    if (seen < TEXT_BYTES && (!is_all || seen == 0))
        return is_all ? FORM_KNOWN : FORM_MORE;
    if (*bytes == '{' || *bytes == '[')
        form->likeness = (struct likeness){.is_read = true, .format = RECORD_NDJSON};
    error_set(err, ERROR_USAGE, "%s",
              form->likeness.is_read ? "it holds JSON: say --format ndjson"
                                     : "it is text, and no msgpack: say --format csv or ndjson");
    return FORM_FOREIGN;
}

enum form_answer form_look(enum record_format format, char delimiter, const char *bytes, size_t length, bool is_all,
                           struct form *form, struct error *err)
{
    char separator = ',';
    *form = (struct form){.line_end = '\n', .delimiter = delimiter != 0 ? delimiter : separator};
    if (format == RECORD_MSGPACK)
        return look_for_text(bytes, length, is_all, form, err);
    if (length == 0)
        return is_all ? FORM_KNOWN : FORM_MORE;
    enum form_answer answer = look_for_foreign(format, bytes, length, is_all, err);
    if (answer == FORM_KNOWN && format == RECORD_CSV)
        answer = look_for_separator(bytes, length, is_all, form, &separator);
    if (delimiter == 0)
        form->delimiter = separator;
    if (answer == FORM_KNOWN && form->skip == 0)
        answer = look_for_likeness(format, delimiter, bytes, length, is_all, form, err);
    if (answer == FORM_KNOWN && format == RECORD_NDJSON)
        answer = look_for_stream(bytes, length, is_all, form);
    if (answer == FORM_KNOWN && !form->is_stream)
        answer = look_for_end(bytes, length, is_all, format == RECORD_CSV, form);
    return answer;
}

const char *form_name(const struct form *form, enum record_format format)
{
    if (format == RECORD_MSGPACK)
        return "objects";
    return form->is_stream ? "stream" : form->line_end == '\r' ? "lines ending with CR" : "lines";
}
