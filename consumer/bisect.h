/* bisect.h - finds the rows that Postgres will not take, among those it will. */
#ifndef TALLYMILL_CONSUMER_BISECT_H
#define TALLYMILL_CONSUMER_BISECT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

struct batch;
struct failure;

/* Turns rows that the server refuses into dead letters (refused): the one that `failure` seems to blame, if it is refused by itself
 * (the others are left to the next try), else every one that is refused behind the good ones before it. A right guess costs one
 * row, the search about two batches for one bad row. tries: of this batch. Waits: no part begins after two minutes, each may take
 * 25 s, and what was found by then is the answer; called while no transaction is open. Where the table takes no ON CONFLICT, rows
 * that are stored leave the batch as duplicates. *refused: how many; 0: the server takes all of them this way. ERROR_RETRY when
 * something else came between (then ask again), ERROR_FATAL past `most` refused rows. */
MUST_CHECK bool bisect_refused(PGconn *conn, struct batch *batch, const struct failure *failure, bool may_guess, int tries,
                               int most, int *refused, struct error *err);

#endif
