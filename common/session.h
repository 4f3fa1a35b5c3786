/* session.h - a connection to Postgres for long work: statements that a signal can end and that keep the watchdog fed.
 *
 * A statement may take minutes (a big day) while systemd waits for its watchdog and an operator for the stop. So nothing here
 * blocks: every wait is a poll of at most 200 ms with a look at the signals, and has a deadline. After an error that the server
 * reported (err->sqlstate is set) the connection is idle again, but for its transaction; after any other it is out of step: close
 * it. The server then rolls its transaction back within a second. One thread.
 */
#ifndef TALLYMILL_COMMON_SESSION_H
#define TALLYMILL_COMMON_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/copy_out.h"
#include "common/error.h"

struct copy_tuple;
struct session;

enum { SESSION_TIMEOUT_S = 120 }; /* what ordinary statements may take: locks are waited for 10 s */

/* Connected and the schema known to fit, or NULL: ERROR_RETRY, or ERROR_USAGE (dsn, rights, schema). application_name: as
 * pg_stat_activity shows it. Signals end a statement where the program has opened the service (service.h); else they do what they
 * do. */
MUST_CHECK struct session *session_open(const char *dsn, const char *application_name, struct error *err);
void session_close(struct session *session);

/* The server process as the connection's start named it: behind a pooler not the one that works for us. */
int session_backend_pid(const struct session *session);

/* Whether the server is one of this host (disk.h). */
bool session_is_near(const struct session *session);

/* One statement with text parameters (NULL: a null), its result to be freed with PQclear. NULL on any failure. Outside of a
 * transaction it gets one of its own (common/postgres_begin.h). */
MUST_CHECK PGresult *session_ask(struct session *session, int64_t timeout_us, const char *sql, int count, const char *const *values,
                                 struct error *err);

/* The same with the usual timeout, for a statement whose rows are not wanted. */
MUST_CHECK bool session_do(struct session *session, const char *sql, int count, const char *const *values, struct error *err);

/* Several statements without parameters, separated by ';', in one round trip; they begin a transaction (POSTGRES_BEGIN()) or run in
 * one. Returns the last one's result. */
MUST_CHECK PGresult *session_ask_all(struct session *session, const char *sql, struct error *err);

/* A statement without parameters (several, separated by ';') that is not waited for: send it, then look now and then, or when the
 * socket becomes readable, until *is_done. *result: the last result that has rows, or NULL; freed with PQclear. Nothing else may be
 * asked meanwhile. False: it failed, and the session must be closed. */
MUST_CHECK bool session_send(struct session *session, const char *sql, struct error *err);
MUST_CHECK bool session_look(struct session *session, PGresult **result, bool *is_done, struct error *err);
MUST_CHECK bool session_wait(struct session *session, int64_t deadline_us,
                             struct error *err); /* until there is something to look at */
int session_socket(const struct session *session);

/* Runs COPY ... TO STDOUT (FORMAT binary), perhaps behind statements whose rows are not wanted ("BEGIN; SELECT ...; COPY ..."), and
 * hands over tuple by tuple (valid for the call). `take` returns false with err set to stop. The timeout is for the wait for each
 * next tuple. */
MUST_CHECK bool session_copy_out(struct session *session, int64_t timeout_us, const char *sql,
                                 bool (*take)(void *context, const struct copy_tuple *tuple, struct error *err), void *context,
                                 struct error *err);

/* The same in any format: message by message, a row each in text and csv (copy_out.h). */
MUST_CHECK bool session_copy_rows(struct session *session, int64_t timeout_us, const char *sql, copy_out_take *take, void *context,
                                  struct error *err);

/* Puts who holds locks on what is ours into an error about one (55P03) that was asked for without waiting; over a connection of its
 * own. */
void session_name_holders(struct session *session, struct error *err);

/* Whether an error came from a request to stop; and for what must still be said after one. */
bool session_was_stopped(const struct session *session);
void session_ignore_stop(struct session *session);

#endif
