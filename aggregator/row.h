/* row.h - one row of analytics_events as the aggregator reads it: the columns to ask for, and their values.
 *
 * A column costs Postgres and us about 0.08 us a row, so what all rows of a question have in common is not sent: often they are of
 * one day, and sometimes of one batch (its shape). An internal row has no name here.
 *
 * Borrowed bytes: a row is valid as long as its tuple. Pure. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_ROW_H
#define TALLYMILL_AGGREGATOR_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/copy_reader.h"
#include "common/error.h"

struct day_event;
struct identity;

/* What the rows of one question have in common. */
struct row_shape {
    bool is_of_one_batch, is_of_one_day;
    int64_t batch_id; /* where it is one */
    int32_t day;      /* since 1970; where it is one */
};

/* What to SELECT for rows of this shape, in the order that row_read() expects. Constant text. */
const char *row_columns(const struct row_shape *shape);

struct row {
    bool is_foreign; /* another program inserted it: no batch */
    bool is_internal;
    int64_t batch_id;
    int32_t day; /* since 1970 */
    struct copy_field name, session_id, user_id;
};

/* False: ERROR_FATAL, the columns have other types. */
MUST_CHECK bool row_read(struct row *row, const struct row_shape *shape, const struct copy_tuple *tuple, struct error *err);

/* The keys of its session and user; the name number is the caller's to set. */
void row_identify(const struct row *row, const struct identity *identity, struct day_event *event);

#endif
