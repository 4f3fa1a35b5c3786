/* identity.h - what makes two sessions the same: their text, held as 16 bytes.
 *
 * A canonical UUID (36 characters, lower case) is its own key, exactly. Other text is its XXH3-128 under a secret of this
 * process, so that nobody outside can look for two texts with one key; two that meet by chance are 2^-128 a pair. "C" is
 * the column's collation: two texts are one session if and only if their bytes are equal, so an upper-case UUID is another. One
 * thread.
 */
#ifndef TALLYMILL_AGGREGATOR_IDENTITY_H
#define TALLYMILL_AGGREGATOR_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aggregator/keyset.h"
#include "common/error.h"

enum { IDENTITY_SECRET_BYTES = 192 }; /* XXH3 asks for at least 136 */

struct identity {
    uint8_t text_secret[IDENTITY_SECRET_BYTES];
    struct keyset_secret key_secret;
};

/* New secrets from the system. False: getrandom(2) failed (ERROR_FATAL). */
MUST_CHECK bool identity_init(struct identity *identity, struct error *err);

/* The key of a session id: as text, and of one whose text is a canonical UUID. */
void identity_of_text(const struct identity *identity, const char *text, size_t length, uint64_t key[2]);

static inline void identity_of_uuid(const uint8_t id[16], uint64_t key[2])
{
    memcpy(key, id, 16);
}

#endif
