/* postgres_open.h - connections to Postgres: opened with a deadline, the same whoever opens them. */
#ifndef TALLYMILL_COMMON_POSTGRES_OPEN_H
#define TALLYMILL_COMMON_POSTGRES_OPEN_H

#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

/* A connection by dsn (libpq's conninfo or URI; "" = its environment) plus our own keepalives, tcp_user_timeout and
 * application_name where the dsn does not say otherwise; always client_encoding UTF8, time zone UTC, date style ISO. Connected and
 * non-blocking, or NULL: ERROR_RETRY; ERROR_USAGE for a dsn that cannot be parsed, and when the server refuses the login or has no
 * such database; a program that was connected before should then try again, for a password may be being rotated. timeout_us bounds
 * the whole of it, but for looking up a host's name, for which libpq knows no deadline. */
MUST_CHECK PGconn *postgres_open(const char *dsn, const char *application_name, int64_t timeout_us, struct error *err);

/* Another one to the same server by the same login, for a question beside what conn is at, which works and is left alone: its
 * settings are read back (PQconninfo), the password of a file among them, and of several hosts the one that was taken. */
MUST_CHECK PGconn *postgres_open_beside(PGconn *conn, const char *application_name, int64_t timeout_us, struct error *err);

#endif
