/* spool_format.c - see spool_format.h.
 *
 * A record's header has a hash of its own, so that its lengths can be trusted when its body cannot: then exactly that record is
 * passed over. With the header damaged too, the next one is looked for at every eighth byte; the seed makes sure that what is found
 * is one.
 *
 * Records without a header's hash, one hash for all, were rejected: a bit in a length would then cost all that follows, or a search
 * through every event's text.
 */
#include "producer/library/spool_format.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char magic[8] = "TALLYSP1";
#define RECORD_MAGIC UINT32_C(0x43455254) /* "TREC" */

struct header {
    char magic[8];
    uint64_t first_sequence, seed, hash;
};

struct record {
    uint32_t magic, key_length, value_length, extra_length;
    uint64_t sequence, body_hash, hash;
};

enum { HEADER_HASHED = offsetof(struct header, hash), RECORD_HASHED = offsetof(struct record, hash) };

static_assert(sizeof(struct header) * 2 == SPOOL_HEADER_BYTES, "no padding");
static_assert(sizeof(struct record) == SPOOL_RECORD_HEADER_BYTES, "no padding");

void spool_format_header(uint8_t bytes[SPOOL_HEADER_BYTES], uint64_t first_sequence, uint64_t seed)
{
    struct header header = {.first_sequence = first_sequence, .seed = seed};
    memcpy(header.magic, magic, sizeof magic);
    header.hash = XXH3_64bits(&header, HEADER_HASHED);
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, &header, sizeof header);
}

bool spool_format_read_header(const uint8_t *bytes, size_t length, uint64_t *first_sequence, uint64_t *seed)
{
    for (size_t at = 0; at + sizeof(struct header) <= length && at < SPOOL_HEADER_BYTES; at += sizeof(struct header)) {
        struct header header;
        memcpy(&header, bytes + at, sizeof header);
        if (memcmp(header.magic, magic, sizeof magic) == 0 && header.hash == XXH3_64bits(&header, HEADER_HASHED)) {
            *first_sequence = header.first_sequence;
            *seed = header.seed;
            return true;
        }
    }
    return false;
}

static size_t body_length(const struct event_message *message)
{
    return message->key_length + message->value_length + message->extra_length;
}

size_t spool_format_size(const struct event_message *message)
{
    return sizeof(struct record) + ((body_length(message) + 7) & ~(size_t)7);
}

void spool_format_record(uint8_t *bytes, const struct event_message *message, uint64_t sequence, uint64_t seed)
{
    size_t length = body_length(message);
    uint8_t *body = bytes + sizeof(struct record);
    memcpy(body, message->key, message->key_length);
    memcpy(body + message->key_length, message->value, message->value_length);
    if (message->extra_length != 0)
        memcpy(body + message->key_length + message->value_length, message->extra, message->extra_length);
    memset(body + length, 0, -length & 7);
    struct record record = {.magic = RECORD_MAGIC,
                            .key_length = (uint32_t)message->key_length,
                            .value_length = (uint32_t)message->value_length,
                            .extra_length = (uint32_t)message->extra_length,
                            .sequence = sequence,
                            .body_hash = XXH3_64bits_withSeed(body, length, seed)};
    record.hash = XXH3_64bits_withSeed(&record, RECORD_HASHED, seed);
    memcpy(bytes, &record, sizeof record);
}

static bool is_sound_header(const struct record *record, uint64_t seed)
{
    return record->magic == RECORD_MAGIC && record->hash == XXH3_64bits_withSeed(record, RECORD_HASHED, seed) &&
           record->key_length <= SPOOL_KEY_MAX && record->value_length <= SPOOL_VALUE_MAX && record->extra_length <= EXTRA_MAX;
}

enum spool_format_answer spool_format_next(const uint8_t *bytes, size_t length, size_t *at, uint64_t seed,
                                           struct event_message *message, uint64_t *sequence)
{
    while (*at + sizeof(struct record) <= length) {
        struct record record;
        memcpy(&record, bytes + *at, sizeof record);
        if (!is_sound_header(&record, seed)) {
            *at += 8;
            continue;
        }
        const uint8_t *body = bytes + *at + sizeof record;
        *message = (struct event_message){.key = body,
                                          .value = body + record.key_length,
                                          .key_length = record.key_length,
                                          .value_length = record.value_length,
                                          .extra = body + record.key_length + record.value_length,
                                          .extra_length = record.extra_length};
        size_t size = spool_format_size(message);
        if (*at + size > length)
            break;
        *at += size;
        if (XXH3_64bits_withSeed(body, body_length(message), seed) != record.body_hash)
            continue;
        *sequence = record.sequence;
        return SPOOL_FORMAT_FOUND;
    }
    return SPOOL_FORMAT_END;
}
