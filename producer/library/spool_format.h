/* spool_format.h - the bytes of a spool's segment: a header in two copies, then records. No I/O, no allocation. Any thread.
 *
 * Bytes in the machine's own order: a spool does not travel. Everything is aligned to 8 bytes.
 *
 *     header (32 bytes, twice)  magic 8 · sequence of the first record 8 · seed 8 · hash of these 24, 8
 *     record header (40)        magic 4 · key length 4 · value length 4 · extra length 4 · sequence 8 · hash of the body 8 · hash
 * of these 32, 8; then the body: key, value, extra (extra.h), and zeros to the next multiple of 8
 *
 * The hashes are XXH3-64 with the segment's random seed: no event can hold bytes that would be taken for a record, nor do the
 * records of an older file whose blocks came back.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_SPOOL_FORMAT_H
#define TALLYMILL_PRODUCER_LIBRARY_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/library/event.h"
#include "producer/library/extra.h"

enum {
    SPOOL_HEADER_BYTES = 64,
    SPOOL_RECORD_HEADER_BYTES = 40,
    SPOOL_KEY_MAX = WIRE_SESSION_ID_BYTES,
    SPOOL_VALUE_MAX = WIRE_DATA_BYTES + 2048, /* columns and a header more than event_data: see event.h */
    SPOOL_RECORD_MAX = SPOOL_RECORD_HEADER_BYTES + ((SPOOL_KEY_MAX + SPOOL_VALUE_MAX + EXTRA_MAX + 7) & ~7),
};

void spool_format_header(uint8_t bytes[SPOOL_HEADER_BYTES], uint64_t first_sequence, uint64_t seed);
/* From either copy. False: both are damaged, or cut off. */
bool spool_format_read_header(const uint8_t *bytes, size_t length, uint64_t *first_sequence, uint64_t *seed);

/* What a record takes. */
size_t spool_format_size(const struct event_message *message);
void spool_format_record(uint8_t *bytes, const struct event_message *message, uint64_t sequence, uint64_t seed);

enum spool_format_answer {
    SPOOL_FORMAT_FOUND,
    SPOOL_FORMAT_END, /* no sound record begins before *at; what begins there, if anything, is not complete */
};

/* The next sound record at or behind bytes[*at], past any damage; *at is then behind it. The message points into `bytes`. */
enum spool_format_answer spool_format_next(const uint8_t *bytes, size_t length, size_t *at, uint64_t seed,
                                           struct event_message *message, uint64_t *sequence);

#endif
