/* source_refusal.h - what Kafka has refused the member of the group, and which of librdkafka's other errors were told already.
 *
 * The code says whether a refusal is of the topic or of the group. A refusal waits here for the worker, which tells it once for all
 * the tries (worker_refusal.c), so it is a line of level debug here; what is none is told as it comes. Main thread.
 */
#ifndef TALLYMILL_CONSUMER_SOURCE_REFUSAL_H
#define TALLYMILL_CONSUMER_SOURCE_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

enum { SOURCE_SAID_BYTES = 160, SOURCE_TOLD_CODES = 512 };

/* What Kafka may refuse a member while it runs, and no waiting mends. */
enum source_refused { SOURCE_REFUSED_TOPIC, SOURCE_REFUSED_GROUP, SOURCE_REFUSED_KINDS };

struct source_refusal {
    rd_kafka_resp_err_t code; /* RD_KAFKA_RESP_ERR_NO_ERROR: none */
    char said[SOURCE_SAID_BYTES];
};

/* All zero: nothing was refused, and nothing told. */
struct source_refusals {
    struct source_refusal latest[SOURCE_REFUSED_KINDS];
    int64_t told_us[SOURCE_TOLD_CODES]; /* when an error of that code was last told; by code - RD_KAFKA_RESP_ERR__BEGIN */
};

/* Takes an error that librdkafka called back with: notes a refusal, and tells everything else once in ten minutes for each code;
 * but not why a broker cannot be reached, which common/kafka_trouble explains. */
void source_refusal_called(struct source_refusals *refusals, rd_kafka_resp_err_t code, const char *said);

/* Takes a message that is an error. One about no topic that no waiting mends is a refusal of the group, whatever its code; what is
 * no refusal is told once in ten minutes for each code. */
void source_refusal_polled(struct source_refusals *refusals, const rd_kafka_message_t *message);

/* Whether Kafka has refused this since the last call; the latest refusal counts. */
bool source_refusal_take(struct source_refusals *refusals, enum source_refused kind, struct source_refusal *refusal);

/* Drops what waits for the worker. What was told stays so. */
void source_refusal_forget(struct source_refusals *refusals);

#endif
