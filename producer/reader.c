/* reader.c - see reader.h. */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "error.h"
#include "msgpack_json.h"

struct reader {
    enum record_format format;
    struct csv *csv; /* of CSV */
    bool is_header_next;
};

struct reader *reader_new(const struct reader_kind *kind)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->format = kind->format;
    if (kind->format == RECORD_CSV && (reader->csv = csv_new(kind->delimiter, kind->is_typed)) == NULL) {
        free(reader);
        return NULL;
    }
    reader_begin(reader);
    return reader;
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    csv_free(reader->csv);
    free(reader);
}

void reader_begin(struct reader *reader)
{
    reader->is_header_next = reader->format == RECORD_CSV;
}

bool reader_is_at_header(const struct reader *reader)
{
    return reader->is_header_next;
}

/* jansson's own text quotes the line, which does not belong into anybody's log. */
static json_t *read_json(const char *line, size_t length, struct error *err)
{
    json_error_t where;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
    if (object != NULL)
        return object;
    char *quote = strstr(where.text, " near '");
    if (quote != NULL)
        *quote = '\0';
    if (json_error_code(&where) == json_error_null_character || json_error_code(&where) == json_error_null_byte_in_key)
        error_set(err, ERROR_REJECT, "a text holds a NUL, which Postgres does not take (byte %d)", where.position);
    else
        error_set(err, ERROR_REJECT, "no JSON: %s (byte %d)", where.text, where.position);
    return NULL;
}

static bool is_blank(const struct reader *reader, const char *record, size_t length)
{
    size_t blank = 0;
    while (blank < length && (record[blank] == ' ' || record[blank] == '\t' || record[blank] == '\r'))
        blank++;
    return blank == length && reader->format != RECORD_MSGPACK;
}

enum reader_answer reader_read(struct reader *reader, const char *record, size_t length, json_t **object, struct error *err)
{
    *object = NULL;
    if (is_blank(reader, record, length))
        return READER_NOTHING;
    if (reader->is_header_next) {
        reader->is_header_next = false;
        return csv_header(reader->csv, record, length, err) ? READER_NOTHING : READER_FAILED;
    }
    switch (reader->format) {
    case RECORD_NDJSON: *object = read_json(record, length, err); break;
    case RECORD_CSV: *object = csv_object(reader->csv, record, length, err); break;
    case RECORD_MSGPACK: *object = msgpack_json(record, length, err); break;
    }
    if (*object != NULL && !json_is_object(*object)) {
        error_set(err, ERROR_REJECT, reader->format == RECORD_MSGPACK ? "the record is no map" : "the line is no JSON object");
        json_decref(*object);
        *object = NULL;
    }
    return *object != NULL ? READER_OBJECT : READER_BAD;
}
