/* months.h - table partitions made when a batch needs one that is not there. */
#ifndef TALLYMILL_CONSUMER_MONTHS_H
#define TALLYMILL_CONSUMER_MONTHS_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

struct batch;

/* For each month of the batch's rows: makes it where it is missing; rows of a month that was archived become dead letters
 * (archived_month). Waits, up to 10 s a month; called while no transaction is open. */
MUST_CHECK bool months_prepare(PGconn *conn, struct batch *batch, struct error *err);

#endif
