/* identity.c - text to 16 bytes: by value where it is a UUID, by keyed hash where not.
 *
 * Invariant: equal texts give equal keys, and different canonical UUIDs give different keys. A table of 16 hexadecimal digits
 * decides both questions (is it canonical, what are its bytes) in one walk.
 *
 * Rejected: uuid_parse(), which takes upper case too: two spellings, which COUNT(DISTINCT session_id) tells apart, would become one
 * session.
 */
#include "identity.h"

#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "error.h"

enum { CANONICAL_BYTES = 36 };

bool identity_init(struct identity *identity, struct error *err)
{
    if (getrandom(identity, sizeof *identity, 0) != (ssize_t)sizeof *identity)
        return error_set(err, ERROR_FATAL, "getrandom(2) gives no random bytes");
    return true;
}

/* 0..15 for 0-9a-f, anything above 15 for the rest. */
static inline unsigned digit(char c)
{
    unsigned value = (unsigned char)c - '0';
    unsigned letter = (unsigned char)c - 'a';
    return value <= 9 ? value : letter <= 5 ? letter + 10 : 255;
}

static bool read_canonical(const char *text, uint8_t bytes[16])
{
    static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    unsigned wrong = 0;
    for (int i = 0; i < 16; i++) {
        unsigned high = digit(text[places[i]]), low = digit(text[places[i] + 1]);
        wrong |= high | low;
        bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    return wrong <= 15 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
}

void identity_of_text(const struct identity *identity, const char *text, size_t length, uint64_t key[2])
{
    uint8_t bytes[16];
    if (length == CANONICAL_BYTES && read_canonical(text, bytes)) {
        memcpy(key, bytes, sizeof bytes);
        return;
    }
    XXH128_hash_t hash = XXH3_128bits_withSecret(text, length, identity->text_secret, sizeof identity->text_secret);
    key[0] = hash.low64;
    key[1] = hash.high64;
}
