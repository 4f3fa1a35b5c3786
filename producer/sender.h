/* sender.h - what import and generate share: events go to Kafka, with patience while it is slow, progress shown, and one report at
 * the end.
 *
 * One thread; the hooks run in the library's.
 */
#ifndef TALLYMILL_SENDER_H
#define TALLYMILL_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include <tallymill/producer.h>

#include "pace.h"
#include "progress.h"

struct ack_log;
struct error;
struct settings;

struct sender {
    struct tally_producer *producer;
    struct ack_log *ack_log;
    struct progress progress;
    struct pace pace;
    int64_t start_us, flushed_us;
    uint64_t sent;
    int64_t settled_us; /* when deliveries last came while the queue was full */
    uint64_t settled;
    unsigned told; /* failures told on stderr so far; only the hook's thread uses it */
};

enum sender_answer { SENDER_SENT, SENDER_INVALID, SENDER_FAILED };

/* Connects and asks Kafka whether it has the topic. False: ERROR_USAGE or ERROR_RETRY. Before the first event the caller may set
 * ack_log (borrowed). */
bool sender_open(struct sender *sender, const struct settings *settings, int *topic_partitions, struct error *err);

/* Sets out: total is what `done` of sender_send will reach (0: unknown), rate as in pace.h. */
void sender_start(struct sender *sender, int64_t total, double rate);

/* Sends one event, waiting for its turn and for room. SENDER_INVALID: ERROR_REJECT, go on with the next. SENDER_FAILED: stop (a
 * signal came, or Kafka took nothing for minutes). */
enum sender_answer sender_send(struct sender *sender, struct tally_event *event, int64_t done, struct error *err);

struct sender_report {
    uint64_t sent, acknowledged, failed;
    int64_t elapsed_us;
};

/* Waits for what is on its way (briefly if a signal came), closes, and reports. */
void sender_close(struct sender *sender, struct sender_report *report);

#endif
