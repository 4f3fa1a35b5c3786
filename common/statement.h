/* statement.h - one message to Postgres and its answers, waited for with a deadline and with looks at the world meanwhile.
 *
 * What postgres.h, session.h and lock_watch.h stand on; who has no such wait of his own asks through them. The connection is
 * non-blocking, and belongs to one thread.
 */
#ifndef TALLYMILL_COMMON_STATEMENT_H
#define TALLYMILL_COMMON_STATEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* What is done while Postgres works. Each function gets the wait's context. */
struct statement_watch {
    /* A message was sent. now_us is monotonic, here and below. */
    void (*start)(void *context, int64_t now_us);
    /* Before each wait for the socket, of 200 ms at most; is_silent: nothing has come in the one before. False with err set: wait
     * no longer. */
    bool (*look)(void *context, PGconn *conn, int64_t now_us, bool is_silent, struct error *err);
    /* It failed, and err says so: may add to it. */
    void (*explain)(void *context, PGconn *conn, struct error *err);
};

struct statement_wait {
    int64_t timeout_us, deadline_us;     /* the whole of it, and when that is over; see statement_wait_for() */
    const struct statement_watch *watch; /* borrowed; NULL: nothing is done meanwhile */
    void *context;
    const char *sql;        /* what was sent last, for the error's text; borrowed */
    bool is_cancelled_late; /* past the deadline, and where the watch wants no more, the server is told to stop, over a second
                               connection, which may take 20 s */
};

/* A wait that begins now. */
struct statement_wait statement_wait_for(int64_t timeout_us);

/* Waits until the socket is ready for one of poll(2)'s events. False with err set: the deadline has passed, or the watch wants no
 * more. A broken socket counts as ready: the next call into libpq says what is wrong with it. */
MUST_CHECK bool statement_await(PGconn *conn, short events, struct statement_wait *wait, struct error *err);

/* Sends one message, to its last byte. values NULL: without parameters, and it may hold several statements. */
MUST_CHECK bool statement_send(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                               struct error *err);

/* Sends what libpq holds back, reading meanwhile, or both sides could wait for each other. */
MUST_CHECK bool statement_flush(PGconn *conn, struct statement_wait *wait, struct error *err);

/* The next result of what was sent; *result NULL: that was all. It may be one that failed. */
MUST_CHECK bool statement_next(PGconn *conn, struct statement_wait *wait, PGresult **result, struct error *err);

/* All that are left, of which the last is kept, to be freed with PQclear. NULL: one of them failed. When the server reported it
 * (err->sqlstate is set) the connection is idle again, but for its transaction; else it is out of step: close it. */
MUST_CHECK PGresult *statement_last(PGconn *conn, struct statement_wait *wait, struct error *err);

/* Sends and takes the last result. */
MUST_CHECK PGresult *statement_ask(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                                   struct error *err);

/* The same in a transaction of its own, begun as postgres_begin.h says, where none is open and the text neither begins nor ends
 * one. */
MUST_CHECK PGresult *statement_run(PGconn *conn, const char *sql, int count, const char *const *values, struct statement_wait *wait,
                                   struct error *err);

#endif
