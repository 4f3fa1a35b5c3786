/* sender.h - what import and generate share: events go to Kafka, with patience while it is slow, progress shown, and one report at
 * the end.
 *
 * One thread; the hooks run in the library's.
 */
#ifndef TALLYMILL_PRODUCER_SENDER_H
#define TALLYMILL_PRODUCER_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "producer/import/sink.h"
#include "producer/import/outside.h"
#include "producer/latency.h"
#include "producer/pace.h"
#include "common/progress.h"

struct ack_log;
struct settings;

struct sender {
    struct tally_producer *producer;
    struct ack_log *ack_log;
    struct progress progress;
    struct pace pace;
    int64_t start_us, start_wall_us, flushed_us;
    bool is_live, has_spool;
    struct latency latency; /* of live events, from the time at which they were due to their acknowledgement */
    uint64_t sent;
    struct outside outside; /* of what was sent */
    int64_t settled_us;     /* when deliveries last came while the queue was full */
    uint64_t settled;
    unsigned told; /* failures told on stderr so far; only the hook's thread uses it */
};

/* Connects and asks Kafka whether it has the topic. With a spool Kafka may be away: that is logged, and events wait. False:
 * ERROR_USAGE or ERROR_RETRY. Before the first event the caller may set ack_log (borrowed). */
MUST_CHECK bool sender_open(struct sender *sender, const struct settings *settings, struct error *err);

/* For --check: the configuration that sender_open() would publish with, but without idempotence, for which Kafka would have to make
 * a producer id. NULL: ERROR_USAGE. The caller's. */
MUST_CHECK rd_kafka_conf_t *sender_conf(const struct settings *settings, struct error *err);

/* How fast, and when events happen. */
struct sender_pace {
    double rate;       /* events a second; 0: as fast as it goes */
    bool is_open_loop; /* see pace.h */
    bool is_live;      /* with a rate: each event gets the time at which it was due as its created_at, and an id made of that */
};

/* Sets out: total is what `done` of sender_send will reach (0: unknown). */
void sender_start(struct sender *sender, int64_t total, const struct sender_pace *pace);

/* Sends one event, waiting for its turn and for room. SINK_FAILED: a signal came, or Kafka took nothing for minutes. */
MUST_CHECK enum sink_answer sender_send(struct sender *sender, struct tally_event *event, int64_t done, struct error *err);

/* Waits until everything is acknowledged (after a signal: for 10 s). False: *err; some was given up, or Kafka took nothing for
 * minutes. */
MUST_CHECK bool sender_settle(struct sender *sender, int64_t done, struct error *err);

/* The sender as an sink of an import. */
struct sink sender_sink(struct sender *sender);

struct sender_report {
    uint64_t sent, acknowledged, failed;
    uint64_t recovered, waiting; /* from the spool of an earlier run, and in it for the next one */
    int64_t elapsed_us;
};

/* Waits for what is on its way (briefly if a signal came), closes, and reports. */
void sender_close(struct sender *sender, struct sender_report *report);

#endif
