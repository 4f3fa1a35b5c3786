/* reader.c - see reader.h. */
#include "producer/import/reader.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "producer/import/combined.h"
#include "producer/import/csv.h"
#include "producer/import/msgpack_value.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

struct reader {
    enum record_format format;
    struct csv *csv;   /* of CSV */
    struct json *json; /* of NDJSON */
    struct value_pool *pool;
    bool is_header_next;
    bool has_value; /* a record of the file was one of its format, if no object */
};

struct reader *reader_new(const struct reader_kind *kind)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->format = kind->format;
    reader->pool = value_pool_new();
    reader->csv = kind->format == RECORD_CSV ? csv_new(kind->delimiter, kind->is_typed) : NULL;
    reader->json = kind->format == RECORD_NDJSON ? json_new(JSON_LINE_BYTES) : NULL;
    if (reader->pool == NULL || (kind->format == RECORD_CSV && reader->csv == NULL) ||
        (kind->format == RECORD_NDJSON && reader->json == NULL)) {
        reader_free(reader);
        return NULL;
    }
    if (reader->json != NULL)
        json_take_nan(reader->json);
    reader_begin(reader, kind->delimiter != 0 ? kind->delimiter : ',');
    return reader;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    csv_free(reader->csv);
    json_free(reader->json);
    value_pool_free(reader->pool);
    free(reader);
}

void reader_begin(struct reader *reader, char delimiter)
{
    if (reader->csv != NULL)
        csv_set_delimiter(reader->csv, delimiter);
    reader->is_header_next = reader->format == RECORD_CSV;
    reader->has_value = false;
}

bool reader_has_value(const struct reader *reader)
{
    return reader->has_value;
}

bool reader_is_at_header(const struct reader *reader)
{
    return reader->is_header_next;
}

const struct csv *reader_header(const struct reader *reader)
{
    return reader->csv != NULL && csv_has_header(reader->csv) ? reader->csv : NULL;
}

static bool is_blank(const struct reader *reader, const char *record, size_t length)
{
    size_t blank = 0;
    while (blank < length && (record[blank] == ' ' || record[blank] == '\t' || record[blank] == '\r'))
        blank++;
    return blank == length && reader->format != RECORD_MSGPACK;
}

/* A byte order mark where files were put behind each other. */
static void skip_mark(const char **record, size_t *length)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (*length < sizeof mark - 1 || memcmp(*record, mark, sizeof mark - 1) != 0)
        return;
    *record += sizeof mark - 1;
    *length -= sizeof mark - 1;
}

static void refuse_value(const struct reader *reader, const struct value *value, struct error *err)
{
    if (reader->format == RECORD_MSGPACK)
        error_set(err, ERROR_REJECT, "the record is no map");
    else if (value->type == VALUE_TEXT && *value->text == '{')
        error_set(err, ERROR_REJECT,
                  "the line is an object inside a JSON text, and no object: say jq -c fromjson FILE | tallymill-produce ...");
    else
        error_set(err, ERROR_REJECT, "the line is no JSON object");
}

enum reader_answer reader_read(struct reader *reader, const char *record, size_t length, struct value **object, struct error *err)
{
    *object = NULL;
    if (reader->format != RECORD_MSGPACK)
        skip_mark(&record, &length);
    if (is_blank(reader, record, length))
        return READER_NOTHING;
    if (reader->is_header_next) {
        reader->is_header_next = false;
        return csv_header(reader->csv, record, length, err) ? READER_NOTHING : READER_FAILED;
    }
    if (reader->format == RECORD_CSV && csv_is_header(reader->csv, record, length))
        return READER_HEADER;
    value_pool_reset(reader->pool);
    switch (reader->format) {
    case RECORD_NDJSON: *object = json_read(reader->json, reader->pool, record, length, err); break;
    case RECORD_CSV: *object = csv_object(reader->csv, reader->pool, record, length, err); break;
    case RECORD_MSGPACK: {
        const size_t head = record_skip_array(record, length);
        *object = msgpack_value(reader->pool, record + head, length - head, err);
        break;
    }
    case RECORD_COMBINED: *object = combined_object(reader->pool, record, length, err); break;
    }
    reader->has_value = reader->has_value || *object != NULL;
    if (*object != NULL && (*object)->type != VALUE_OBJECT) {
        refuse_value(reader, *object, err);
        *object = NULL;
    }
    return *object != NULL ? READER_OBJECT : READER_BAD;
}
