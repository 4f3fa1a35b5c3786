/* start.h - where to read a topic partition from: the ledger's position against what Kafka still has. Pure decisions, no I/O. */
#ifndef TALLYMILL_CONSUMER_START_H
#define TALLYMILL_CONSUMER_START_H

#include <stdbool.h>
#include <stdint.h>

struct anchor;
struct claim;

enum start_kind {
    START_NEXT,      /* at the ledger's position; the anchor is gone or there is none */
    START_ANCHOR,    /* at the anchor: the first message must be it */
    START_GAP,       /* Kafka's log begins later: note a gap up to `offset` and go on there */
    START_TRUNCATED, /* Kafka's log ends before our position: truncated or recreated; stop this topic partition */
};

struct start {
    enum start_kind kind;
    int64_t offset; /* of the first message to read */
};

/* low: the first offset Kafka has; high: the one behind the last. */
struct start start_decide(const struct claim *claim, int64_t low, int64_t high);

/* What the first message that is read from an anchor on tells. */
enum anchor_verdict {
    ANCHOR_MATCHES,      /* it is the anchor: go on behind it */
    ANCHOR_UNVERIFIABLE, /* a later offset came first (compaction took the anchor): accept, say so */
    ANCHOR_DIFFERS,      /* another message stands there: the topic was truncated and written anew, or recreated */
};
enum anchor_verdict anchor_judge(const struct anchor *anchor, int64_t offset, const uint8_t *hash);

#endif
