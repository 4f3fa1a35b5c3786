/* key_list.c - columns, differences, zstd.
 *
 * Invariant: what key_list_pack() was given, key_list_next() gives. Everything that is read was counted before against the bytes
 * there are: a list comes from the database, where somebody may have changed it.
 *
 * Rejected: roaring bitmaps (32 bits, sessions would need a dictionary); a row for each key (150 times the bytes, and closing a day
 * takes seconds).
 */
#include "aggregator/key_list.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "common/bytes.h"
#include "common/error.h"

enum {
    VERSION = 1,
    HEADER_BYTES = 5,
    SESSION_BYTES = 16,
    VARINT_BYTES = 10,
    FIXED_BYTES = 1 + SEEN_SIDES * 8,
    MAX_KEYS = 1 << 26,
    LEVEL = 1
};

static size_t most_bytes(enum key_kind kind, size_t count)
{
    return count * (FIXED_BYTES + (kind == KEY_SESSION ? (size_t)SESSION_BYTES : (size_t)VARINT_BYTES));
}

static bool make_room(uint8_t **buffer, size_t *room, size_t wanted, struct error *err)
{
    if (*room >= wanted)
        return true;
    uint8_t *wider = realloc(*buffer, wanted);
    if (!wider)
        return error_set(err, ERROR_RETRY, "no memory for %zu bytes of keys", wanted);
    *buffer = wider;
    *room = wanted;
    return true;
}

void key_bytes_free(struct key_bytes *bytes)
{
    free(bytes->raw);
    free(bytes->packed);
    *bytes = (struct key_bytes){0};
}

int key_list_order(const void *a, const void *b)
{
    const struct seen_key *left = a, *right = b;
    if (left->slot != right->slot)
        return left->slot < right->slot ? -1 : 1;
    if (left->key[0] != right->key[0])
        return left->key[0] < right->key[0] ? -1 : 1;
    return left->key[1] == right->key[1] ? 0 : left->key[1] < right->key[1] ? -1 : 1;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (uint8_t)(value | 0x80);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_keys(uint8_t *out, enum key_kind kind, const struct seen_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (kind == KEY_SESSION) {
            memcpy(out, keys[i].key, SESSION_BYTES);
            out += SESSION_BYTES;
        } else {
            const bool begins_slot = i == 0 || keys[i].slot != keys[i - 1].slot;
            out = put_varint(out, keys[i].key[0] - (begins_slot ? 0 : keys[i - 1].key[0]));
        }
    }
    return out;
}

bool key_list_pack(struct key_bytes *bytes, enum key_kind kind, const struct seen_key *keys, size_t count, struct error *err)
{
    if (!make_room(&bytes->raw, &bytes->raw_room, most_bytes(kind, count) + 1, err))
        return false;
    uint8_t *out = bytes->raw;
    for (size_t i = 0; i < count; i++)
        *out++ = keys[i].slot;
    out = put_keys(out, kind, keys, count);
    for (unsigned side = 0; side < SEEN_SIDES; side++)
        for (size_t i = 0; i < count; i++)
            out = put_64(out, keys[i].seen[side]);
    const size_t raw_length = (size_t)(out - bytes->raw), bound = ZSTD_compressBound(raw_length);
    if (!make_room(&bytes->packed, &bytes->packed_room, HEADER_BYTES + bound, err))
        return false;
    bytes->packed[0] = VERSION;
    put_32(bytes->packed + 1, (uint32_t)count);
    const size_t length = ZSTD_compress(bytes->packed + HEADER_BYTES, bound, bytes->raw, raw_length, LEVEL);
    if (ZSTD_isError(length))
        return error_set(err, ERROR_RETRY, "zstd packs no keys: %s", ZSTD_getErrorName(length));
    bytes->packed_length = HEADER_BYTES + length;
    return true;
}

static bool damaged(struct error *err, const char *what)
{
    return error_set(err, ERROR_FATAL,
                     "a row of tallymill.day_keys is damaged: %s; to count all days anew: SELECT tallymill.forget_uniques()", what);
}

bool key_list_open(struct key_reader *reader, struct key_bytes *bytes, enum key_kind kind, const uint8_t *packed, size_t length,
                   struct error *err)
{
    if (length < HEADER_BYTES || packed[0] != VERSION)
        return damaged(err, "it is no list of keys of this version");
    const size_t count = get_32(packed + 1), least = count * (FIXED_BYTES + (kind == KEY_SESSION ? (size_t)SESSION_BYTES : 1));
    const unsigned long long raw_length = ZSTD_getFrameContentSize(packed + HEADER_BYTES, length - HEADER_BYTES);
    if (count > MAX_KEYS || raw_length < least || raw_length > most_bytes(kind, count))
        return damaged(err, "its length is not that of its keys");
    if (!make_room(&bytes->raw, &bytes->raw_room, (size_t)raw_length + 1, err))
        return false;
    if (ZSTD_decompress(bytes->raw, (size_t)raw_length, packed + HEADER_BYTES, length - HEADER_BYTES) != (size_t)raw_length)
        return damaged(err, "zstd does not unpack it");
    const uint8_t *end = bytes->raw + raw_length;
    *reader = (struct key_reader){.kind = kind,
                                  .left = count,
                                  .slots = bytes->raw,
                                  .keys = bytes->raw + count,
                                  .keys_end = end - SEEN_SIDES * 8 * count,
                                  .seen = {end - 16 * count, end - 8 * count}};
    return true;
}

static bool take_varint(struct key_reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->keys < reader->keys_end; shift += 7) {
        const uint8_t byte = *reader->keys++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

bool key_list_next(struct key_reader *reader, struct seen_key *key, struct error *err)
{
    if (reader->left == 0)
        return reader->keys == reader->keys_end ? false : damaged(err, "bytes behind its last key");
    const uint8_t slot = *reader->slots++;
    *key = (struct seen_key){.slot = slot};
    if (reader->kind == KEY_SESSION) {
        memcpy(key->key, reader->keys, SESSION_BYTES); /* key_list_open() has counted them */
        reader->keys += SESSION_BYTES;
    } else {
        uint64_t difference;
        if (!take_varint(reader, &difference))
            return damaged(err, "a key is cut off");
        reader->last = (slot == reader->slot ? reader->last : 0) + difference;
        key->key[0] = reader->last;
    }
    reader->slot = slot;
    for (unsigned side = 0; side < SEEN_SIDES; side++) {
        key->seen[side] = get_64(reader->seen[side]);
        reader->seen[side] += 8;
    }
    reader->left--;
    return true;
}
