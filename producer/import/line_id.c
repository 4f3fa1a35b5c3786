/* line_id.c - see line_id.h.
 *
 * SHA-1 because version 5 says so; it only has to spread, nobody has a reason to make two lines collide. Written out here (FIPS
 * 180-4 6.1) because it is all that would be wanted of a cryptographic library.
 */
#include "producer/import/line_id.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 64, WORDS = 80 };

struct sha1 {
    uint32_t state[5];
    uint8_t block[BLOCK_BYTES];
    uint64_t bytes;
};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static void add_block(struct sha1 *sha1)
{
    uint32_t words[WORDS];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)sha1->block[4 * i] << 24 | (uint32_t)sha1->block[4 * i + 1] << 16 |
                   (uint32_t)sha1->block[4 * i + 2] << 8 | sha1->block[4 * i + 3];
    for (int i = 16; i < WORDS; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    uint32_t a = sha1->state[0], b = sha1->state[1], c = sha1->state[2], d = sha1->state[3], e = sha1->state[4];
    for (int i = 0; i < WORDS; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + k + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    sha1->state[0] += a;
    sha1->state[1] += b;
    sha1->state[2] += c;
    sha1->state[3] += d;
    sha1->state[4] += e;
}

static void add(struct sha1 *sha1, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        sha1->block[sha1->bytes++ % BLOCK_BYTES] = at[i];
        if (sha1->bytes % BLOCK_BYTES == 0)
            add_block(sha1);
    }
}

static void finish(struct sha1 *sha1)
{
    uint64_t bits = sha1->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    add(sha1, "\x80", 1);
    while (sha1->bytes % BLOCK_BYTES != BLOCK_BYTES - 8)
        add(sha1, "", 1);
    add(sha1, length, sizeof length);
}

void line_id_of_name(uint8_t id[LINE_ID_BYTES], const uint8_t space[LINE_ID_BYTES], const char *name, size_t length)
{
    struct sha1 sha1 = {.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    add(&sha1, space, LINE_ID_BYTES);
    add(&sha1, name, length);
    finish(&sha1);
    for (int i = 0; i < LINE_ID_BYTES; i++)
        id[i] = (uint8_t)(sha1.state[i / 4] >> (24 - 8 * (i % 4)));
    id[6] = (uint8_t)(0x50 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

void line_id(uint8_t id[LINE_ID_BYTES], const uint8_t file[LINE_ID_BYTES], uint64_t line)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)line);
    line_id_of_name(id, file, digits, (size_t)length);
}
