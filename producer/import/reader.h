/* reader.h - a record of any of the formats as one object, which columns.h then maps. No I/O; one thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_READER_H
#define TALLYMILL_PRODUCER_IMPORT_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "producer/import/record.h"

struct csv;
struct reader;
struct value;

struct reader_kind {
    enum record_format format;
    char delimiter; /* of CSV; 0: not said */
    bool is_typed;  /* of CSV: see csv.h */
};

/* NULL: no memory. */
struct reader *reader_new(const struct reader_kind *kind);
void reader_free(struct reader *reader);

/* At the beginning of each file: CSV has its header there, and what its fields are parted by. */
void reader_begin(struct reader *reader, char delimiter);
/* The next record is not data yet. */
bool reader_is_at_header(const struct reader *reader);
/* A record of the file in hand was one of the format, be it an object or not. */
bool reader_has_value(const struct reader *reader);
/* Its header was read; else NULL. */
const struct csv *reader_header(const struct reader *reader);

enum reader_answer {
    READER_OBJECT,
    READER_NOTHING, /* a blank line, a header */
    READER_HEADER,  /* the header once more: files were put behind each other */
    READER_BAD,
    READER_FAILED
};

/* *object is valid until the next call. BAD: ERROR_REJECT, this record only. FAILED: nothing behind it can be read either. */
MUST_CHECK enum reader_answer reader_read(struct reader *reader, const char *record, size_t length, struct value **object,
                                          struct error *err);

#endif
