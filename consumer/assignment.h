/* assignment.h - from what the group assigns to reading each topic partition at the right place.
 *
 *     none     --  the group assigns (is_wanted)                             ->  wanted
 *     wanted   --  Kafka says which topic this is, then assignment_claim()
 *                  takes it in the ledger: epoch and position                ->  claimed: each topic partition waits
 *     claimed  --  its leader says where its log begins and ends, then
 *                  assignment_begin(), each topic partition by itself        ->  begun: read, its anchors first, or stopped
 *     any      --  memory and ledger may differ (resync)                     ->  wanted, with the same topic partitions
 *     any      --  the group takes them back (is_revoked; within 3 s)        ->  none
 *
 * Who sets the flags: the worker's loop is_wanted and is_revoked, whoever finds a reason (a lost connection, a fence, another
 * topic) resync and rejoin. The loop answers all of them while no batch is under way; what was read is dropped before a claim. Main
 * thread.
 */
#ifndef TALLYMILL_CONSUMER_ASSIGNMENT_H
#define TALLYMILL_CONSUMER_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/kafka.h"
#include "consumer/identity.h"
#include "consumer/log_ends.h"

struct claim;
struct settings;
struct source;

struct assignment {
    const struct settings *settings; /* borrowed, like these: */
    const char *owner;               /* as tallymill.owners shows it */
    struct source *source;
    struct identity *identity;
    int answers_fd; /* readable when Kafka has answered */
    PGconn *conn;   /* of the call under way */

    bool is_wanted, is_revoked;
    int64_t revoked_since_us;
    bool resync;          /* memory and ledger may differ: drop all, claim and assign again */
    int64_t resync_at_us; /* 0: not needed; what stopped all of the topic may be mended by then */
    bool rejoin;          /* another worker owns a topic partition of ours: ask the group again */

    struct claim *claimed; /* the last assignment, as the ledger answered it */
    int claimed_count;
    int64_t claim_since_us; /* since when a claim is wanted: it needs an answer to a question sent later; 0: none is wanted */
    char topic_id[KAFKA_TOPIC_ID_BYTES]; /* of the last claim; "" where Kafka gives none */
    char cluster_id[IDENTITY_CLUSTER_BYTES];
    bool is_foreign;  /* the ledger is about another topic of that name */
    bool name_wanted; /* the ledger does not know topic_id yet; it is written there once the anchors have shown that it is this one
                       */

    struct log_ends logs; /* where the logs of those begin and end that are not read yet */
    int64_t look_at_us;   /* when those that wait are asked about again; 0: none waits */
    int64_t warned_us;    /* that some wait; 0: not */

    int claims_made;     /* since the caller took note of it: assignments that were claimed, */
    int64_t gap_offsets; /* and offsets whose events were gone */
};

/* None. Nothing of Kafka's or Postgres's is asked yet. */
void assignment_init(struct assignment *assignment, const struct settings *settings, const char *owner, struct source *source,
                     struct identity *identity, int answers_fd);
void assignment_free(struct assignment *assignment);

/* Before the Kafka client goes that it is of: nothing is wanted, and nothing waits. */
void assignment_let_go(struct assignment *assignment);

/* A claim is to be made. */
bool assignment_is_due(const struct assignment *assignment);

/* Claims, over an idle connection. Never waits for Kafka: true as long as there is nothing to do but wait, and assignment_is_due()
 * until it is claimed. False: ERROR_RETRY (again later) or what ends the worker. */
MUST_CHECK bool assignment_claim(struct assignment *assignment, PGconn *conn, int64_t now_us, struct error *err);

/* Begins what waits and has been answered for; asks again about the others. Over an idle connection. As assignment_claim. */
MUST_CHECK bool assignment_begin(struct assignment *assignment, PGconn *conn, int64_t now_us, struct error *err);

#endif
