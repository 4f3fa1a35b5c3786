/* record.c - see record.h.
 *
 * A quote opens a quoted field only at the field's beginning; anywhere else it is a mistake that csv.c tells, and does not swallow
 * the lines behind it. The reader that finds records and takes them apart in one go was rejected: how far a record reaches must be
 * known before it may be held in memory, and this half is small enough to be tried with every cut.
 *
 * A stream of JSON is cut by its brackets, whatever is between them; what is wrong inside, json.c tells. Arrays around the values
 * are passed over as if they were blanks: a file that holds one array is its elements. What cannot stand in JSON says that
 * something was left out before: a "{" in an object without a ":" begins the next value, a bracket of the other kind closes both,
 * and a quote behind which a text cannot be over is not its end. By the line ends alone nothing could be told in a file of one
 * line, and one missing bracket would cost all that follows.
 *
 * msgpack needs no stack to be passed over: a map of n adds 2n to the values still to come. An array of maps, which is what packing
 * a list of events makes, is its maps too; any other array is a record. */
#include "producer/import/record.h"

#include <string.h>
#include <strings.h>

#include "common/msgpack.h"

#define RS 0x1e /* of RFC 7464 */

enum {
    VALUE_BETWEEN,
    VALUE_SCALAR,
    VALUE_INSIDE,
    VALUE_TEXT,
    VALUE_ESCAPE,
    VALUE_QUOTE /* a text's end, if what follows can follow one */
};
enum { FIELD_START, FIELD_PLAIN, FIELD_QUOTED, FIELD_QUOTE /* in a quoted one: its end, or the first of two */ };

bool record_parse_format(const char *text, enum record_format *format)
{
    static const char *const names[] = {"ndjson", "csv", "msgpack", "combined"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *format = (enum record_format)i;
            return true;
        }
    return false;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t end_length = strlen(end);
    return length >= end_length && strncasecmp(text + length - end_length, end, end_length) == 0;
}

enum record_format record_format_of(const char *path, char *delimiter)
{
    static const struct {
        const char *end;
        enum record_format format;
        char delimiter;
    } names[] = {{".csv", RECORD_CSV, 0},
                 {".tsv", RECORD_CSV, '\t'},
                 {".tab", RECORD_CSV, '\t'},
                 {".psv", RECORD_CSV, '|'},
                 {".msgpack", RECORD_MSGPACK, 0}};
    /* those, too, that are refused, with a command that has to say the format */
    static const char *const packed[] = {".gz", ".zst", ".zstd", ".xz", ".bz2", ".zip", ".lzma", ".lz4", ".lz", ".Z", ".sz"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (ends_with(path, length, packed[i])) {
            length -= strlen(packed[i]);
            break;
        }
    *delimiter = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ends_with(path, length, names[i].end)) {
            *delimiter = names[i].delimiter;
            return names[i].format;
        }
    return RECORD_NDJSON;
}

void record_begin(struct record *record)
{
    record->state = 0; /* FIELD_START, VALUE_BETWEEN */
    record->depth = 0;
    record->pending = 1;
    record->skip = record->newlines = 0;
    record->is_broken = record->is_unclosed = false;
}

bool record_is_quoted(const struct record *record)
{
    return record->format == RECORD_CSV && record->state == FIELD_QUOTED;
}

static size_t scan_line(struct record *record, const char *bytes, size_t length, bool *is_whole)
{
    const char *end = memchr(bytes, record->line_end, length);
    *is_whole = end != NULL;
    record->newlines += end != NULL;
    return end != NULL ? (size_t)(end - bytes) + 1 : length;
}

static size_t scan_csv(struct record *record, const char *bytes, size_t length, bool *is_whole)
{
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        record->newlines += byte == record->line_end;
        if (record->state == FIELD_QUOTED) {
            if (byte == '"')
                record->state = FIELD_QUOTE;
        } else if (byte == record->line_end) {
            *is_whole = true;
            return i + 1;
        } else if (byte == '"' && record->state != FIELD_PLAIN) {
            record->state = FIELD_QUOTED; /* opens one, or is the second of two */
        } else {
            record->state = byte == record->delimiter ? FIELD_START : FIELD_PLAIN;
        }
    }
    return length;
}

bool record_is_open(const struct record *record)
{
    return record->is_stream && record->state > VALUE_SCALAR;
}

static bool is_between(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == ',' || byte == '[' || byte == ']' || byte == RS;
}

size_t record_skip_between(const char *bytes, size_t length)
{
    size_t skipped = 0;
    while (skipped < length && is_between(bytes[skipped]))
        skipped++;
    return skipped;
}

/* The first byte of a value, or one before it. True: a value that is whole with it. */
static bool begin_value(struct record *record, char byte)
{
    if (byte == '[')
        record->arrays++;
    else if (byte == ']' && record->arrays > 0)
        record->arrays--;
    if (is_between(byte))
        return false;
    record->depth = record->objects = byte == '{';
    record->last = byte;
    record->state = byte == '{' ? VALUE_INSIDE : byte == '"' ? VALUE_TEXT : VALUE_SCALAR;
    return byte == '}';
}

static void open_bracket(struct record *record, bool is_object)
{
    record->depth++;
    record->objects = record->objects << 1 | is_object;
}

/* The innermost bracket of that kind, and those inside it that were left open. True: the value is whole. */
static bool close_bracket(struct record *record, bool is_object)
{
    const uint64_t seen = record->depth < 64 ? (UINT64_C(1) << record->depth) - 1 : UINT64_MAX;
    uint64_t kind = (is_object ? record->objects : ~record->objects) & seen;
    if (kind == 0 && record->depth <= 64)
        return false; /* no such bracket is open */
    unsigned count = kind == 0 ? 1 : (unsigned)__builtin_ctzll(kind) + 1;
    record->objects = count < 64 ? record->objects >> count : 0;
    record->depth -= count;
    return record->depth == 0;
}

/* The byte cannot stand inside the value: it was left open, and with the byte begins what comes next. */
static bool is_unclosed_before(const struct record *record, char byte)
{
    if (record->state != VALUE_INSIDE && record->state != VALUE_QUOTE)
        return false;
    if (byte == '{')
        return record->objects & 1 && record->last != ':';
    return byte == ']' && record->arrays > 0 && record->depth < 64 && record->objects == (UINT64_C(1) << record->depth) - 1;
}

/* A byte inside a text or between the brackets of a value. True: the value is whole with it. */
static bool go_on_value(struct record *record, char byte)
{
    switch (record->state) {
    case VALUE_ESCAPE: record->state = VALUE_TEXT; return false;
    case VALUE_TEXT:
        if (byte == '\\')
            record->state = VALUE_ESCAPE;
        else if (byte == '"' || byte == '\n') /* a text has no line end: a quote that is missing costs one value */
            record->state = byte == '"' ? VALUE_QUOTE : VALUE_INSIDE;
        return record->state != VALUE_ESCAPE && record->state != VALUE_TEXT && record->depth == 0;
    case VALUE_QUOTE:
        if (byte == ' ' || byte == '\t' || byte == '\r')
            return false;
        record->state = strchr("\n\",:{}[]", byte) != NULL ? VALUE_INSIDE : VALUE_TEXT;
        if (record->state == VALUE_TEXT)
            return go_on_value(record, byte);
        record->last = '"';
        break;
    default: break;
    }
    if (byte == '"')
        record->state = VALUE_TEXT;
    else if (byte == '{' || byte == '[')
        open_bracket(record, byte == '{');
    else if ((byte == '}' || byte == ']') && close_bracket(record, byte == '}'))
        return true;
    if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n')
        record->last = byte;
    return false;
}

/* Separators that come before a value count to its record. */
static size_t scan_stream(struct record *record, const char *bytes, size_t length, bool *is_whole)
{
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        record->is_unclosed = is_unclosed_before(record, byte);
        bool is_scalar_end = record->state == VALUE_SCALAR && (is_between(byte) || byte == '{' || byte == '}' || byte == '"');
        if (is_scalar_end || record->is_unclosed ||
            (byte == RS && record->state > VALUE_SCALAR)) { /* RS is in no text: what it cuts is over */
            *is_whole = true;
            return i;
        }
        record->newlines += byte == '\n';
        if (record->state == VALUE_SCALAR)
            continue;
        *is_whole = record->state == VALUE_BETWEEN ? begin_value(record, byte) : go_on_value(record, byte);
        if (*is_whole)
            return i + 1;
    }
    return length;
}

/* The bytes of an array's head with a map behind it; 0: none. *is_short: more has to be there to tell. */
static size_t array_head(const uint8_t *bytes, size_t length, uint64_t *count, bool *is_short)
{
    const bool is_long = length > 0 && (*bytes == 0xdc || *bytes == 0xdd);
    const size_t head = is_long ? (*bytes == 0xdc ? 3 : 5) : 1;
    *is_short = false;
    if (length == 0 || (!is_long && *bytes >> 4 != 9))
        return 0;
    *is_short = length <= head;
    if (*is_short)
        return 0;
    *count = is_long ? 0 : *bytes & 0x0f;
    for (size_t i = 1; i < head; i++)
        *count = *count << 8 | bytes[i];
    const uint8_t next = bytes[head];
    return *count > 0 && (next >> 4 == 8 || next == 0xde || next == 0xdf) ? head : 0;
}

size_t record_skip_array(const char *bytes, size_t length)
{
    uint64_t count;
    bool is_short;
    return array_head((const uint8_t *)bytes, length, &count, &is_short);
}

static size_t scan_msgpack(struct record *record, const uint8_t *bytes, size_t length, bool *is_whole)
{
    size_t used = 0;
    uint64_t count = 0;
    bool is_short = false;
    if (record->state == 0 && record->arrays == 0)
        used = array_head(bytes, length, &count, &is_short);
    if (is_short)
        return 0;
    if (used > 0)
        record->arrays = count;
    record->state = record->state == 1 || length > 0;
    while (record->pending > 0 || record->skip > 0) {
        if (record->skip > 0) {
            uint64_t step = record->skip < length - used ? record->skip : length - used;
            record->skip -= step;
            used += step;
            if (record->skip > 0)
                return used;
            continue;
        }
        struct msgpack_cursor cursor = {bytes + used, bytes + length};
        struct msgpack_item item;
        enum reason reason = msgpack_head(&cursor, &item);
        if (reason != REASON_NONE) {
            record->is_broken = reason != REASON_TRUNCATED;
            return used;
        }
        used = (size_t)(cursor.at - bytes);
        bool is_container = item.type == ITEM_ARRAY || item.type == ITEM_MAP;
        record->skip = item.type == ITEM_STR || item.type == ITEM_BIN || item.type == ITEM_EXT ? item.length : 0;
        uint64_t items = is_container ? (uint64_t)item.length * (item.type == ITEM_MAP ? 2 : 1) : 0;
        record->pending--;
        record->pending = record->pending > UINT64_MAX - items ? UINT64_MAX : record->pending + items;
    }
    *is_whole = true;
    record->arrays -= record->arrays > 0;
    return used;
}

size_t record_scan(struct record *record, const char *bytes, size_t length, bool *is_whole)
{
    *is_whole = false;
    if (record->is_stream)
        return scan_stream(record, bytes, length, is_whole);
    switch (record->format) {
    case RECORD_CSV: return scan_csv(record, bytes, length, is_whole);
    case RECORD_MSGPACK: return scan_msgpack(record, (const uint8_t *)bytes, length, is_whole);
    default: return scan_line(record, bytes, length, is_whole);
    }
}
