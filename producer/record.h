/* record.h - where one record of a file ends: a line of NDJSON, a record of CSV (RFC 4180), an object of msgpack.
 *
 * Bytes go in as they come, in pieces of any size; the same bytes give the same records however they were cut. No I/O, no memory of
 * its own. One thread.
 */
#ifndef TALLYMILL_RECORD_H
#define TALLYMILL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_format { RECORD_NDJSON, RECORD_CSV, RECORD_MSGPACK };

struct record {
    enum record_format format;
    char delimiter;    /* of CSV */
    int state;         /* of CSV: inside what the last byte was */
    uint64_t pending;  /* msgpack: values still to come */
    uint64_t skip;     /* msgpack: bytes of the value that is being passed over */
    uint64_t newlines; /* in the record so far */
    bool is_broken;    /* msgpack: a byte that begins no value; where the next record begins cannot be known */
};

/* "ndjson", "csv" or "msgpack". */
bool record_parse_format(const char *text, enum record_format *format);

/* What a file's name tells: .csv and .msgpack, also with .gz, .zst or .zstd behind; any other is NDJSON. */
enum record_format record_format_of(const char *path);

/* Before each record. */
void record_begin(struct record *record);

/* Looks at bytes that follow those of the calls before. Returns how many belong to the record; *is_whole: it ends with them (its
 * line end included). Fewer than all without is_whole: the rest is too little to be judged, or is_broken. */
size_t record_scan(struct record *record, const char *bytes, size_t length, bool *is_whole);

/* The record so far has an open quote. */
bool record_is_quoted(const struct record *record);

#endif
