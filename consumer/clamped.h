/* clamped.h - events whose time was outside the window and that are stored at Kafka's time of them (window.policy = clamp): the
 * same bytes again have another time of Kafka's, so they are known by their id alone, in their batch and in the months of the
 * window.
 */
#ifndef TALLYMILL_CONSUMER_CLAMPED_H
#define TALLYMILL_CONSUMER_CLAMPED_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

struct batch;

/* Of the rows of one id in the batch, a clamped one behind another row becomes a duplicate. Before batch_seal. */
void clamped_drop_repeats(struct batch *batch);

/* begin_sql and "; SELECT pg_advisory_xact_lock(...)": nobody else looks up or stores clamped events of these ids until the
 * transaction ends. free() it; NULL without memory. */
char *clamped_lock_sql(const struct batch *batch, const char *begin_sql);

/* Asks which of the clamped rows' ids are stored. False: libpq cannot send it, or there is no memory (ERROR_RETRY). */
MUST_CHECK bool clamped_send_look_up(PGconn *conn, const struct batch *batch, struct error *err);

/* Takes the rows that this answer names out of the batch, as duplicates. False: there is no memory (ERROR_RETRY), and none is. */
MUST_CHECK bool clamped_take_look_up(struct batch *batch, const PGresult *result, struct error *err);

#endif
