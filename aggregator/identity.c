/* identity.c - text to 16 bytes: by value where it is a UUID, by keyed hash where not.
 *
 * Invariant: equal texts give equal keys, and different canonical UUIDs give different keys.
 *
 * Rejected: uuid_parse(), which takes upper case too: two spellings, which COUNT(DISTINCT session_id) tells apart, would become one
 * session.
 */
#include "aggregator/identity.h"

#include <string.h>
#include <sys/random.h>

#include <xxhash.h>

#include "common/error.h"
#include "common/uuid.h"

bool identity_init(struct identity *identity, struct error *err)
{
    if (getrandom(identity, sizeof *identity, 0) != (ssize_t)sizeof *identity)
        return error_set(err, ERROR_FATAL, "getrandom(2) gives no random bytes");
    return true;
}

void identity_of_text(const struct identity *identity, const char *text, size_t length, uint64_t key[2])
{
    uint8_t id[UUID_BYTES];
    if (uuid_read_canonical(text, length, id)) {
        identity_of_uuid(id, key);
        return;
    }
    XXH128_hash_t hash = XXH3_128bits_withSecret(text, length, identity->text_secret, sizeof identity->text_secret);
    key[0] = hash.low64;
    key[1] = hash.high64;
}
