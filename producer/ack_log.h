/* ack_log.h - a file with the id of every event that Kafka acknowledged, in that order: ID TOPIC_PARTITION OFFSET, one a line.
 *
 * Proof for tests and for whoever wants to compare what was sent with what is stored. Written by the thread that serves deliveries.
 */
#ifndef TALLYMILL_PRODUCER_ACK_LOG_H
#define TALLYMILL_PRODUCER_ACK_LOG_H

#include <stdbool.h>

#include "common/error.h"

struct ack_log;
struct tally_delivery;

/* Makes the file anew. NULL: ERROR_USAGE. */
MUST_CHECK struct ack_log *ack_log_open(const char *path, struct error *err);

/* A failed write is remembered and told by ack_log_close. */
void ack_log_add(struct ack_log *log, const struct tally_delivery *delivery);

/* Brings what was added so far to the file. Any thread. */
void ack_log_flush(struct ack_log *log);

/* False: ERROR_RETRY, the file is not complete. Frees in any case; NULL is fine. */
MUST_CHECK bool ack_log_close(struct ack_log *log, struct error *err);

#endif
