/* postgres.h - connections to Postgres with deadlines, and what its errors ask for.
 *
 * Plain libpq underneath: callers use PGconn and PGresult. Every wait has a deadline, because a server that vanished without a FIN
 * would otherwise hold us for two hours. What the server says beside its answers goes to the log, at level debug. A connection belongs to one thread.
 */
#ifndef TALLYMILL_COMMON_POSTGRES_H
#define TALLYMILL_COMMON_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* Starts a connection: dsn (libpq's conninfo or URI; "" = its environment) plus our own keepalives, tcp_user_timeout and
 * application_name where the dsn does not say otherwise; always client_encoding UTF8, time zone UTC, date style ISO. Drive it with
 * PQconnectPoll, then call PQsetnonblocking. NULL: ERROR_USAGE for a dsn that cannot be parsed. A host name is looked up here,
 * without a deadline of ours. */
PGconn *postgres_start(const char *dsn, const char *application_name, struct error *err);

/* The same, waited for: connected and non-blocking, or NULL. timeout_us bounds the whole of it. ERROR_USAGE too when the server
 * refuses the login or has no such database; a program that was connected before should then try again, for a password may be being
 * rotated. */
PGconn *postgres_open(const char *dsn, const char *application_name, int64_t timeout_us, struct error *err);

/* Runs one command (several, separated by ';', without parameters: the last result comes back) and waits up to timeout_us; past it
 * the query is cancelled and the connection must be closed (ERROR_RETRY). Outside of a transaction it gets one of its own, begun as
 * postgres_begin.h says; a text that begins one itself uses POSTGRES_BEGIN(). Text results. NULL on any failure, with kind and sqlstate
 * set; where a lock was waited for, it names who holds it (lock_watch.h). The caller frees the result with PQclear. */
PGresult *postgres_query(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err);
PGresult *postgres_query_params(PGconn *conn, const char *sql, int count, const char *const *values, int64_t timeout_us,
                                struct error *err);
bool postgres_exec(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err); /* result not wanted */

/* One statement that Postgres takes outside of a transaction only (CREATE INDEX CONCURRENTLY): no transaction may be open. It runs with the settings of the login, so it names every
 * schema, and holds nothing that a setting could make another thing. */
bool postgres_exec_alone(PGconn *conn, const char *sql, int64_t timeout_us, struct error *err);

/* Whether the text is to be put between POSTGRES_BEGIN() and COMMIT: no transaction is open, and it neither begins nor ends one. */
bool postgres_is_wrapped(const PGconn *conn, const char *sql);

/* Waits until the connection's socket is readable, or with for_write also writable. False once the deadline (of clock_now_us) has
 * passed. */
bool postgres_wait(PGconn *conn, bool for_write, int64_t deadline_us);

/* Fills err from a failed result or a broken connection (result NULL): kind by postgres_kind(), sqlstate, primary message, detail,
 * hint where it is ours. The detail of a refused row is left out: it quotes the row. SQLSTATE 23514 without a constraint's name
 * means that no table partition takes the row (its month is missing): RETRY. Returns false. */
bool postgres_error(struct error *err, const PGconn *conn, const PGresult *result);

/* What an SQLSTATE asks for: RETRY, REJECT (the row), USAGE (schema, rights, missing database) or FATAL (unknown to us). NULL or ""
 * = connection lost = RETRY. The one table of it. */
enum error_kind postgres_kind(const char *sqlstate);

/* What a caller may have to know of an error beyond its kind. The codes and classes behind each stand in postgres_error.c and nowhere else. */
enum postgres_state {
    POSTGRES_REFUSED,        /* the server answered, and the connection goes on: neither lost nor being ended by the server */
    POSTGRES_LOGIN_REFUSED,  /* class 28; a login that TLS refuses counts as one */
    POSTGRES_NO_RIGHT,       /* 42501 */
    POSTGRES_NO_SCHEMA,      /* the schema or the table that is asked for is not there: nobody has migrated */
    POSTGRES_MIGRATING,      /* a table, column or function of ours is not there: after the start, a migration may be under way */
    POSTGRES_READ_ONLY,      /* 25006: a failover has left us on a standby */
    POSTGRES_CONFLICT,       /* class 40: serialization failure, deadlock */
    POSTGRES_DEADLOCK,       /* 40P01 */
    POSTGRES_LOCKED,         /* 55P03: lock_timeout */
    POSTGRES_CANCELLED,      /* 57014: statement_timeout, or somebody's cancel */
    POSTGRES_UNIQUE,         /* 23505 */
    POSTGRES_UNSUPPORTED,    /* 0A000; of a row: a BEFORE trigger made it one of another table partition */
    POSTGRES_CHECK,          /* 23514; without a constraint's name: no table partition takes the row */
    POSTGRES_INTERNAL,       /* XX000; two databases of a server that alter one role get it too */
    POSTGRES_DAMAGED,        /* class XX: the server found what it kept damaged, or a fault of its own */
    POSTGRES_FENCED,         /* TM001 */
    POSTGRES_CONTRACT,       /* TM004: an argument that one of our functions does not take */
    POSTGRES_MONTH_ARCHIVED, /* TM005 */
    POSTGRES_MONTH_DETACHED, /* TM007: somebody's table is in the month's place */
    POSTGRES_TOPIC_ANEW,     /* TM009 */
    POSTGRES_KEPT_OUT,       /* TM010: a trigger or a rule of somebody else keeps the books from being written */
};
bool postgres_is(const struct error *err, enum postgres_state state);
bool postgres_state_is(const char *sqlstate, enum postgres_state state); /* the same of an SQLSTATE; "": there is none */

/* Gives an error that we found ourselves the SQLSTATE that the server would have given. Only states of one code. */
void postgres_mark(struct error *err, enum postgres_state state);

/* Compares the database's tables, functions and views with those that this program carries (migrations.h). ERROR_USAGE and what to run when the schema is missing or
 * older, was made before 0.1.0, or asks for a newer program. */
bool postgres_check_schema(PGconn *conn, struct error *err);

#endif
