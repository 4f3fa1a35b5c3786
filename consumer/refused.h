/* refused.h - finds the rows that Postgres will not take, among those it will. */
#ifndef TALLYMILL_REFUSED_H
#define TALLYMILL_REFUSED_H

#include <stdbool.h>

#include <libpq-fe.h>

struct batch;
struct error;

/* Turns every row that the server refuses by itself into a dead letter (refused), by halving: insert a part, roll back. Costs about
 * one more batch for one bad row. Waits; called while no transaction is open. *refused: how many. ERROR_RETRY when something else
 * came between (then ask again), ERROR_FATAL past `most` refused rows. */
bool refused_find(PGconn *conn, struct batch *batch, int most, int *refused, struct error *err);

#endif
