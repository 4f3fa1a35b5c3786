/* start.c - see start.h.
 *
 * The anchor is the last message stored, which need not be at next_offset - 1 (markers and compaction leave holes there): taking
 * next - 1 for it is a bug that others had. high == next with an anchor is the common case of a caught-up worker: the anchor is
 * read again and thrown away.
 */
#include "consumer/start.h"

#include <string.h>

#include "consumer/ledger.h"

struct start start_decide(const struct claim *claim, int64_t low, int64_t high)
{
    if (claim->next_offset > high)
        return (struct start){START_TRUNCATED, claim->next_offset};
    if (claim->next_offset < low)
        return (struct start){START_GAP, low};
    if (claim->anchor_offset >= low && claim->anchor_offset < high)
        return (struct start){START_ANCHOR, claim->anchor_offset};
    return (struct start){START_NEXT, claim->next_offset};
}

enum anchor_verdict anchor_judge(const struct anchor *anchor, int64_t offset, const uint8_t *hash)
{
    if (offset > anchor->offset)
        return ANCHOR_UNVERIFIABLE;
    if (offset == anchor->offset && memcmp(hash, anchor->hash, ANCHOR_HASH_BYTES) == 0)
        return ANCHOR_MATCHES;
    return ANCHOR_DIFFERS;
}
