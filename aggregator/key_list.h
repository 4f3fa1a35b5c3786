/* key_list.h - the keys of a day (sessions or users), each with the subjects that it was seen under, as the bytes of
 * tallymill.day_keys.
 *
 * Sorted by slot and key, in columns (slots, keys, external subjects, internal subjects), zstd over all of them: about 17 bytes a
 * session, whose id is random, and 3 a user, whose number is kept as the difference to the one before. A version byte comes first.
 * Bytes that are not such a list are refused, never read beyond. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_KEY_LIST_H
#define TALLYMILL_AGGREGATOR_KEY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum key_kind { KEY_SESSION, KEY_USER, KEY_KINDS };

/* By which events a key was seen. */
enum { SEEN_EXTERNAL, SEEN_INTERNAL, SEEN_SIDES };

enum { KEY_SLOTS = 256 };

struct seen_key {
    uint64_t key[2];           /* the 16 bytes of a session; a user's number and 0 */
    uint64_t seen[SEEN_SIDES]; /* a bit for each subject */
    uint8_t slot;              /* a part of the hash of what it was in the database: parts of a day are cut by it */
};

/* The bytes of a list; its memory is kept from one use to the next. */
struct key_bytes {
    uint8_t *raw, *packed;
    size_t raw_room, packed_room;
    size_t packed_length;
};

void key_bytes_free(struct key_bytes *bytes);

/* Orders keys as a list wants them: for qsort(). */
int key_list_order(const void *a, const void *b);

/* Packs keys, which are in that order, into bytes->packed. False: no memory (ERROR_RETRY). */
MUST_CHECK bool key_list_pack(struct key_bytes *bytes, enum key_kind kind, const struct seen_key *keys, size_t count,
                              struct error *err);

/* Reads a list from its beginning; it borrows bytes->raw until the next call with the same bytes. */
struct key_reader {
    enum key_kind kind;
    size_t left;
    const uint8_t *slots, *keys, *keys_end, *seen[SEEN_SIDES];
    uint64_t last;
    uint8_t slot;
};

/* False: no memory (ERROR_RETRY), or damaged (ERROR_FATAL). */
MUST_CHECK bool key_list_open(struct key_reader *reader, struct key_bytes *bytes, enum key_kind kind, const uint8_t *packed,
                              size_t length, struct error *err);

/* The next key. False: that was the last, or with err set the list is damaged. */
MUST_CHECK bool key_list_next(struct key_reader *reader, struct seen_key *key, struct error *err);

#endif
