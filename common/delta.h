/* delta.h - what the events of one batch add to the daily statistics, as bytes: the worker writes them in the batch's transaction,
 * the aggregator takes them in, and need not read the rows back.
 *
 * Only a shortcut: everything in a delta is in the rows too, and where there is none the rows are read. There is none where
 *   - the batch has fewer than DELTA_LEAST_ROWS rows, or some of them were stored before;
 *   - it has more than DELTA_NAMES names, DELTA_DAYS days or DELTA_MOST_BYTES bytes, or a name that is not ASCII;
 *   - an older worker wrote it, or the server went down since (the table is unlogged), or the table is large because nobody empties
 * it;
 *   - a trigger on the events may change the rows, or the events are distributed by Citus, where they become visible after the
 * ledger;
 *   - a day of the batch was rebuilt while the batch waited;
 *   - writing it failed: then that worker leaves none in its next 99 transactions.
 *
 * The format is between our own programs and carries a version; numbers are in network order:
 *
 *     version (1 byte), rows of the batch (4), entries (4), then an entry for each row that is not internal:
 *     flags (1), number of the name (1) [, where new: length (1), name], number of the day (1) [, where new: days since 1970 (4)]
 *     [, session: 16 bytes of a canonical UUID, or length (1) and text] [, user (8)]
 *     last XXH3-64 of all that (8)
 *
 * About 27 bytes an event. Pure: no I/O, and no allocation after delta_init(). One thread.
 */
#ifndef TALLYMILL_COMMON_DELTA_H
#define TALLYMILL_COMMON_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* DELTA_LEAST_ROWS: below, writing and reading a delta costs Postgres more than reading the rows back. */
enum { DELTA_NAMES = 64, DELTA_DAYS = 64, DELTA_MOST_BYTES = 2 << 20, DELTA_LEAST_ROWS = 64 };

struct delta_event {
    int32_t day;         /* UTC, since 1970-01-01 */
    const char *name;    /* not NUL-terminated */
    const char *session; /* text, or the 16 bytes of a UUID; NULL: none */
    uint32_t name_length, session_length;
    uint32_t name_number; /* 0 to DELTA_NAMES - 1, the same for the same name within a delta; only when read */
    bool is_uuid;         /* of the session; only when read */
    bool has_user;
    uint64_t user;
};

struct delta {
    uint8_t *bytes;
    size_t used, capacity;
    uint32_t rows, entries;
    bool is_unfit; /* too many names, days or bytes: the rows must be read */
    unsigned name_count, day_count, last_day;
    struct delta_name {
        uint32_t at; /* in bytes */
        uint8_t length;
    } names[DELTA_NAMES];
    int32_t days[DELTA_DAYS];
    uint8_t slots[2 * DELTA_NAMES]; /* hash table of name numbers + 1 */
};

/* Room for a batch of so many rows. False: ERROR_RETRY, no memory. */
MUST_CHECK bool delta_init(struct delta *delta, int max_rows, struct error *err);
void delta_free(struct delta *delta);

/* Empty again. */
void delta_reset(struct delta *delta);

/* One row of the batch: internal ones only count as rows. */
void delta_add(struct delta *delta, const struct delta_event *event);
void delta_add_internal(struct delta *delta);

/* The finished bytes; NULL: unfit. Valid until the delta changes. */
const uint8_t *delta_finish(struct delta *delta, size_t *length);

struct delta_reader {
    const uint8_t *next, *end;
    uint32_t rows;    /* of the batch, internal ones included */
    uint32_t entries; /* still to come */
    unsigned name_count, day_count;
    struct {
        const char *text;
        uint8_t length;
    } names[DELTA_NAMES];
    int32_t days[DELTA_DAYS];
};

/* False: damaged, or of another version. The bytes are borrowed. */
bool delta_open(struct delta_reader *reader, const void *bytes, size_t length);

enum delta_outcome { DELTA_EVENT, DELTA_END, DELTA_DAMAGED };

/* The next event, which points into the bytes. */
enum delta_outcome delta_next(struct delta_reader *reader, struct delta_event *event);

#endif
