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

/* IS_DIGIT and the value for 0-9a-f, nothing for the rest. */
enum { IS_DIGIT = 0x80 };
static const uint8_t digits[256] = {
    ['0'] = IS_DIGIT,      ['1'] = IS_DIGIT | 1,  ['2'] = IS_DIGIT | 2,  ['3'] = IS_DIGIT | 3,
    ['4'] = IS_DIGIT | 4,  ['5'] = IS_DIGIT | 5,  ['6'] = IS_DIGIT | 6,  ['7'] = IS_DIGIT | 7,
    ['8'] = IS_DIGIT | 8,  ['9'] = IS_DIGIT | 9,  ['a'] = IS_DIGIT | 10, ['b'] = IS_DIGIT | 11,
    ['c'] = IS_DIGIT | 12, ['d'] = IS_DIGIT | 13, ['e'] = IS_DIGIT | 14, ['f'] = IS_DIGIT | 15,
};

static bool read_canonical(const char *text, uint8_t bytes[16])
{
    static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    unsigned right = IS_DIGIT;
    for (int i = 0; i < 16; i++) {
        unsigned high = digits[(unsigned char)text[places[i]]], low = digits[(unsigned char)text[places[i] + 1]];
        right &= high & low;
        bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    return right != 0 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
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
