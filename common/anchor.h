/* anchor.h - the hash by which the last stored message of a topic partition is known again.
 *
 * The ledger keeps the offset and this hash of that message, its anchor: whoever finds another message there reads another log
 * than the one that was stored (it was truncated, or the topic was made anew). Any thread.
 */
#ifndef TALLYMILL_COMMON_ANCHOR_H
#define TALLYMILL_COMMON_ANCHOR_H

#include <stddef.h>
#include <stdint.h>

enum { ANCHOR_HASH_BYTES = 16 };

/* XXH3-128 of a message's value in canonical byte order; of nothing for a tombstone (NULL). */
void anchor_hash(uint8_t hash[ANCHOR_HASH_BYTES], const void *value, size_t length);

#endif
