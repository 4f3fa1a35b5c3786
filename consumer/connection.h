/* connection.h - the worker's one connection to Postgres: opened, watched while it is idle, given up, and opened again after a
 * pause.
 *
 *     away  --connection_open-->  up  --connection_drop-->  away, for a pause that doubles
 *     away, the login is refused or the schema is another  -->  an error: the worker ends
 *     up, and a query or a transaction under way: connection_is_idle() is false
 *
 * The pause is also what a batch or a claim waits that has to go again over a connection that is up: until not_before_us nothing is
 * asked of Postgres. Main thread.
 */
#ifndef TALLYMILL_CONSUMER_CONNECTION_H
#define TALLYMILL_CONSUMER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "common/outage.h"

struct settings;

/* Connecting, with all that is asked once. */
#define CONNECTION_LIMIT_US INT64_C(3000000)

struct connection {
    struct settings *settings; /* borrowed */
    const char *dsn;           /* theirs */
    PGconn *conn;              /* NULL: away */
    bool has_connected;        /* once */
    int64_t not_before_us;     /* nothing is asked of Postgres earlier */
    int64_t backoff_us;        /* the last pause; 0: none since a batch was stored */
    int64_t looked_us;
    struct outage outage;
};

/* Away. settings outlive it. */
void connection_init(struct connection *connection, struct settings *settings);

/* While it is away; waits up to CONNECTION_LIMIT_US for each of its questions. True: `conn` is there, or is to be tried again later
 * (logged). False: err says why trying again is of no use. */
MUST_CHECK bool connection_open(struct connection *connection, int64_t now_us, struct error *err);

/* Neither away nor with a query that ran out of time. */
bool connection_is_idle(const struct connection *connection);

/* Between batches nobody else looks at the socket: an idle worker would learn from its next batch that the server had gone. Once a
 * second; true: it is lost (logged), drop it. */
bool connection_is_lost(struct connection *connection, int64_t now_us);

/* Away, and a pause. */
void connection_drop(struct connection *connection, int64_t now_us);

/* Away, for good. An unfinished transaction is rolled back: nothing is ever half done. */
void connection_close(struct connection *connection);

/* A pause, twice as long as the last one, up to 5 s, with jitter. connection_settle: the next one is short again; so it is after a
 * minute without any. */
void connection_back_off(struct connection *connection, int64_t now_us);
void connection_settle(struct connection *connection);

/* A postgres.dsn of `fresh` that is another, tried and taken for later connections, or not (both logged). */
void connection_try_dsn(struct connection *connection, struct settings *fresh);

/* Whether the schema is one that we know and the login may store events. ERROR_USAGE, ERROR_RETRY. */
MUST_CHECK bool connection_check(const char *dsn, struct error *err);

#endif
