/* ledger.h - what a worker asks of the books: claim topic partitions, note gaps, read positions, and the statement that commits a
 * batch.
 *
 * What takes a `struct error *` waits (up to LEDGER_TIMEOUT_US) and is called while no batch is under way; ledger_commit_sql() and
 * ledger_send_delta() belong into a batch's transaction and never wait. The SQL that they call is in schemas/functions (claim.sql,
 * commit_batch.sql, add_delta.sql).
 */
#ifndef TALLYMILL_CONSUMER_LEDGER_H
#define TALLYMILL_CONSUMER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "consumer/batch.h"

/* A claim waits for the commit in flight of the owner before, at most lock_timeout (10 s). */
#define LEDGER_TIMEOUT_US INT64_C(15000000)

struct claim {
    int32_t topic_partition;
    int64_t epoch;
    int64_t next_offset;
    int64_t anchor_offset; /* -1: none */
    uint8_t anchor_hash[ANCHOR_HASH_BYTES];
    bool is_proven; /* the ledger knows this very topic by its id */
};

/* A message that the ledger knows. */
struct anchor {
    int64_t offset;
    uint8_t hash[ANCHOR_HASH_BYTES];
};

struct claimant {
    const char *topic, *topic_id, *cluster_id, *group, *owner;
};

/* Claims claims[0..count).topic_partition (sorted) and fills in the rest. ERROR_USAGE: another group or cluster, closed
 * books. ERROR_FATAL with TM009: another topic of that name. ERROR_RETRY: a lock, the connection. */
MUST_CHECK bool ledger_claim(PGconn *conn, const struct claimant *claimant, struct claim *claims, int count, struct error *err);

/* Up to `room` messages of a topic partition whose log begins at `low`, evenly spread up to the last, in order; *count of them. */
MUST_CHECK bool ledger_older_anchors(PGconn *conn, const char *topic, int32_t topic_partition, int64_t low, struct anchor *anchors,
                                     int room, int *count, struct error *err);

/* Says what the id of the topic is whose log was found to be the ledger's. */
MUST_CHECK bool ledger_name_topic(PGconn *conn, const char *topic, const char *topic_id, struct error *err);

/* Notes [ledger's position, next_offset) of a claimed topic partition as gone. reason: "retention", "truncated". */
MUST_CHECK bool ledger_record_gap(PGconn *conn, const char *topic, const struct claim *claim, int64_t next_offset,
                                  const char *reason, struct error *err);

/* Tells `tallymill status` why nothing is stored; reason NULL: it is over. Waits 2 s at most. */
MUST_CHECK bool ledger_tell_trouble(PGconn *conn, const char *topic, const char *owner, const char *sqlstate, const char *reason,
                                    struct error *err);

/* positions[i] = next_offset of topic partition i, 0 where the ledger does not know it. */
MUST_CHECK bool ledger_positions(PGconn *conn, const char *topic, int64_t *positions, int count, struct error *err);

/* "SELECT tallymill.commit_batch(...); COMMIT" for a batch with sorted ranges. free() it; NULL without memory. topic: letters,
 * digits, '.', '_', '-' only. */
char *ledger_commit_sql(const char *topic, int64_t batch_id, const struct batch *batch);

/* Sends "SELECT tallymill.add_delta(...)", which answers with one row. False: as PQsendQueryParams. */
bool ledger_send_delta(PGconn *conn, int64_t batch_id, const uint8_t *delta, size_t length);

#endif
