/* import_file.c - see import_file.h.
 *
 * What must hold: line numbers go up; a record is given out or refused with a reason; an object becomes an event or is refused with
 * a reason; the message of an event reads back as msgpack whose attributes are those of the object, to the bit.
 */
#include "import_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "memory_file.h"
#include "producer/import/columns.h"
#include "producer/import/input.h"
#include "producer/import/msgpack_value.h"
#include "producer/import/reader.h"
#include "producer/library/event.h"
#include "producer/library/value.h"
#include "value_match.h"

enum { RECORDS_MAX = 4096 };

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    abort();
}

/* All fields are attributes; the name is a default, so that any object can be an event. */
static struct columns *with_rest(void)
{
    struct error err;
    struct columns *columns = columns_new();
    if (columns == NULL || !columns_map(columns, "session_id=a.b", &err) || !columns_map(columns, "created_at=time", &err) ||
        !columns_default(columns, "created_at=2026-01-15T09:30:00Z", &err) || !columns_default(columns, "event_name=login", &err) ||
        !columns_rest(columns, "event_data", &err) || !columns_check(columns, &err))
        fail("columns", err.text);
    columns_time_unit(columns, TIME_UNIT_MS);
    return columns;
}

static struct columns *as_sent(void)
{
    struct error err;
    struct columns *columns = columns_new();
    if (columns == NULL || !columns_check(columns, &err))
        fail("columns", "of the wire");
    columns_time_unit(columns, TIME_UNIT_US);
    return columns;
}

static void read_back(const struct event_message *message, const struct value *rest)
{
    static struct value_pool *pool;
    struct error err;
    if (pool == NULL)
        pool = value_pool_new();
    value_pool_reset(pool);
    struct value *value = msgpack_value(pool, message->value, message->value_length, &err);
    if (value == NULL)
        fail("the message cannot be read back", err.text);
    const struct value *data = value_find(value, "event_data", 10);
    static const struct value empty = {.type = VALUE_OBJECT};
    if (rest != NULL && !value_match(data == NULL ? &empty : data, rest))
        fail("the attributes are not those of the object", "");
}

/* What columns_fill leaves of the object is the rest. */
static void make_event(struct columns *columns, struct value *object, bool has_rest, struct tally_event *event)
{
    struct error err = {0};
    struct event_message message;
    struct tally_error reason = {0};
    if (!columns_fill(columns, object, event, &err)) {
        if (err.kind != ERROR_REJECT || err.text[0] == '\0')
            fail("refused without a reason", err.text);
    } else if (!event_encode(event, &message, &reason)) {
        if (reason.code != TALLY_INVALID || reason.text[0] == '\0')
            fail("refused without a reason", reason.text);
    } else {
        read_back(&message, has_rest ? object : NULL);
    }
}

static void make_both(struct value *object, struct tally_event *event)
{
    static struct columns *rest, *wire;
    static struct value_pool *pool;
    struct error err;
    if (rest == NULL) {
        rest = with_rest();
        wire = as_sent();
        pool = value_pool_new();
    }
    value_pool_reset(pool);
    struct value *copy = value_copy(pool, object, &err);
    if (copy == NULL && err.kind == ERROR_RETRY)
        fail("no memory", "");
    if (copy != NULL)
        make_event(wire, copy, false, event);
    make_event(rest, object, true, event);
}

static void read_records(struct input *input, struct reader *reader, struct tally_event *event)
{
    uint64_t line = 0;
    for (;;) {
        struct error err = {0};
        const char *record;
        size_t length;
        enum input_answer answer = input_next(input, &record, &length, &err);
        if (answer == INPUT_END)
            return;
        if (answer == INPUT_FAILED || answer == INPUT_BAD) {
            if (err.text[0] == '\0')
                fail("refused without a reason", "by the input");
            if (answer == INPUT_FAILED)
                return;
        } else if (answer != INPUT_RECORD) {
            fail("the input", "answers as if a signal had come");
        }
        if (input_line(input) <= line)
            fail("line numbers", "do not go up");
        if (line == 0)
            reader_begin(reader, input_delimiter(input));
        line = input_line(input);
        struct value *object = NULL;
        enum reader_answer read = answer == INPUT_BAD ? READER_BAD : reader_read(reader, record, length, &object, &err);
        if (read == READER_OBJECT)
            make_both(object, event);
        else if (read != READER_NOTHING && read != READER_HEADER && err.text[0] == '\0')
            fail("refused without a reason", "by the reader");
        if (read == READER_FAILED)
            return;
    }
}

static void read_from_file(const struct input_kind *kind, const uint8_t *bytes, size_t size, struct reader *reader,
                           struct tally_event *event)
{
    struct error err;
    struct input *input = input_open(memory_file(bytes, size), kind, &err);
    if (input == NULL)
        fail("cannot begin", err.text);
    read_records(input, reader, event);
    input_close(input);
}

/* The same without the file and its buffers, which take most of the time. */
static void read_from_memory(const struct input_kind *kind, const char *bytes, size_t size, struct reader *reader,
                             struct tally_event *event)
{
    struct record record = {.format = kind->format, .delimiter = kind->delimiter, .line_end = '\n'};
    bool is_whole = true;
    for (size_t at = 0; is_whole && at < size;) {
        record_begin(&record);
        size_t length = record_scan(&record, bytes + at, size - at, &is_whole);
        struct value *object = NULL;
        struct error err = {0};
        size_t line = kind->format != RECORD_MSGPACK && length > 0 && bytes[at + length - 1] == '\n' ? length - 1 : length;
        enum reader_answer read = reader_read(reader, bytes + at, line, &object, &err);
        if (read == READER_OBJECT)
            make_both(object, event);
        else if (read != READER_NOTHING && read != READER_HEADER && err.text[0] == '\0')
            fail("refused without a reason", "by the reader");
        at += length;
        is_whole = is_whole && read != READER_FAILED;
    }
}

void import_file(enum record_format format, const uint8_t *bytes, size_t size)
{
    struct input_kind kind = {.format = format, .delimiter = ','};
    struct reader_kind how = {.format = format, .delimiter = ',', .is_typed = size % 2 == 1};
    struct reader *reader = reader_new(&how);
    struct tally_event *event = tally_event_new();
    if (reader == NULL || event == NULL)
        fail("no memory", "to begin");
    if (size % 8 < 2)
        read_from_file(&kind, bytes, size, reader, event);
    else
        read_from_memory(&kind, (const char *)bytes, size, reader, event);
    tally_event_free(event);
    reader_free(reader);
}

void import_form(enum record_format format, const uint8_t *bytes, size_t size)
{
    struct input_kind kind = {.format = format};
    struct reader_kind how = {.format = format, .is_typed = size % 2 == 1};
    struct reader *reader = reader_new(&how);
    struct tally_event *event = tally_event_new();
    if (reader == NULL || event == NULL)
        fail("no memory", "to begin");
    read_from_file(&kind, bytes, size, reader, event);
    tally_event_free(event);
    reader_free(reader);
}

/* Where records end; the count. */
static size_t find_ends(enum record_format format, bool is_stream, const char *bytes, size_t size, size_t step,
                        size_t ends[RECORDS_MAX])
{
    struct record record = {.format = format, .delimiter = ',', .line_end = '\n', .is_stream = is_stream};
    size_t begin = 0, known = 0, count = 0;
    record_begin(&record);
    while (known < size && !record.is_broken && count < RECORDS_MAX) {
        known = known + step < size ? known + step : size;
        bool is_whole = true;
        while (is_whole && begin < known && count < RECORDS_MAX) {
            begin += record_scan(&record, bytes + begin, known - begin, &is_whole);
            if (begin > known)
                fail("a record", "reaches beyond its bytes");
            if (is_whole) {
                ends[count++] = begin;
                record_begin(&record);
            }
        }
    }
    return count;
}

static void cut(enum record_format format, bool is_stream, const uint8_t *bytes, size_t size)
{
    static size_t whole[RECORDS_MAX], pieces[RECORDS_MAX];
    size_t count = find_ends(format, is_stream, (const char *)bytes, size, size + 1, whole),
           step = size == 0 ? 1 : bytes[size / 2] % 16 + 1U;
    if (find_ends(format, is_stream, (const char *)bytes, size, step, pieces) != count ||
        memcmp(whole, pieces, count * sizeof *whole) != 0)
        fail("records", "depend on how the bytes come");
}

void cut_file(enum record_format format, const uint8_t *bytes, size_t size)
{
    cut(format, false, bytes, size);
    if (format == RECORD_NDJSON)
        cut(format, true, bytes, size);
}
