/* refused.h - finds the rows that Postgres will not take, among those it will. */
#ifndef TALLYMILL_REFUSED_H
#define TALLYMILL_REFUSED_H

#include <stdbool.h>

#include <libpq-fe.h>

struct batch;
struct error;

/* Turns rows that the server refuses by themselves into dead letters (refused): the guessed one, if it is one (-1: no guess; the
 * others are left to the next try), else every one, by halving: insert a part, roll back. A right guess costs one row, halving
 * about two and a half batches for one bad row. Waits; called while no transaction is open. *refused: how many. ERROR_RETRY when
 * something else came between (then ask again), ERROR_FATAL past `most` refused rows. */
bool refused_find(PGconn *conn, struct batch *batch, int guess, int most, int *refused, struct error *err);

/* Which row of the batch the server's error seems to blame, or -1: where to look first, never a verdict. */
int refused_guess_row(const PGresult *result);

#endif
