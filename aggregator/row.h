/* row.h - one row of analytics_events as the aggregator reads it: the columns to ask for, and their values.
 *
 * Borrowed bytes: a row is valid as long as its tuple. Pure. One thread.
 */
#ifndef TALLYMILL_ROW_H
#define TALLYMILL_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "copy_reader.h"

struct day_event;
struct error;
struct identity;

/* What to SELECT, in the order that row_read() expects. */
#define ROW_COLUMNS "batch_id, created_at, is_internal, event_name, session_id, user_id"

struct row {
    bool is_foreign; /* another program inserted it: no batch */
    bool is_internal;
    int64_t batch_id;
    int32_t day; /* since 1970 */
    struct copy_field name, session_id, user_id;
};

/* False: ERROR_FATAL, the columns have other types. */
bool row_read(struct row *row, const struct copy_tuple *tuple, struct error *err);

/* The keys of its session and user; the name number is the caller's to set. */
void row_identify(const struct row *row, const struct identity *identity, struct day_event *event);

#endif
