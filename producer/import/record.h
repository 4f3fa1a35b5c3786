/* record.h - where one record of a file ends: a line of NDJSON or of a log, a value in a stream of JSON, a record of CSV (RFC
 * 4180), an object of msgpack.
 *
 * Bytes go in as they come, in pieces of any size; the same bytes give the same records however they were cut. No I/O, no memory of
 * its own. One thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_RECORD_H
#define TALLYMILL_PRODUCER_IMPORT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_format { RECORD_NDJSON, RECORD_CSV, RECORD_MSGPACK, RECORD_COMBINED };

struct record {
    enum record_format format;
    char delimiter;   /* of CSV */
    char line_end;    /* '\n' or '\r' */
    bool is_stream;   /* JSON values one behind the other, not one a line */
    int state;        /* of CSV and a stream: inside what the last byte was; of msgpack 1 once a value was begun */
    uint64_t depth;   /* of a stream: open objects and arrays of the value */
    uint64_t objects; /* of a stream: which of the innermost 64 of them are objects; bit 0 is the innermost */
    char last;        /* of a stream: the last byte between texts that is no blank */
    bool is_unclosed; /* of a stream: the value ended because the next one began inside it */
    uint64_t arrays; /* of a stream: open arrays around the values; of msgpack: maps still to come of the one around them; kept from
                      * record to record */
    uint64_t pending;  /* msgpack: values still to come */
    uint64_t skip;     /* msgpack: bytes of the value that is being passed over */
    uint64_t newlines; /* in the record so far */
    bool is_broken;    /* msgpack: a byte that begins no value; where the next record begins cannot be known */
};

/* "ndjson", "csv", "msgpack" or "combined". */
bool record_parse_format(const char *text, enum record_format *format);

/* What a file's name tells: .csv, .tsv, .tab, .psv and .msgpack, also with .gz, .zst, .xz or the like behind; any other is NDJSON.
 * *delimiter: of CSV, 0 where the name does not tell. */
enum record_format record_format_of(const char *path, char *delimiter);

/* Before each record. */
void record_begin(struct record *record);

/* Looks at bytes that follow those of the calls before. Returns how many belong to the record; *is_whole: it ends with them (its
 * line end included). Fewer than all without is_whole: the rest is too little to be judged, or is_broken. */
size_t record_scan(struct record *record, const char *bytes, size_t length, bool *is_whole);

/* CSV: the record so far has an open quote. */
bool record_is_quoted(const struct record *record);
/* A stream: the record so far is a value that is not closed. */
bool record_is_open(const struct record *record);
/* A stream: bytes that stand between values and are not part of one. */
size_t record_skip_between(const char *bytes, size_t length);
/* msgpack: the head of an array that stands before its first map, and counts to that one's record; 0: there is none, or not yet. */
size_t record_skip_array(const char *bytes, size_t length);

#endif
