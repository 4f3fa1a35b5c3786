/* lock_watch.h - who holds the lock that a statement of ours waits for.
 *
 * A forgotten client (left "idle in transaction" behind a LOCK TABLE, an ALTER, an advisory lock) can keep all of us waiting, and
 * "canceling statement due to lock timeout" says neither on what nor by whom. So whoever waits looks, over a connection of its own,
 * after a second and then ever more rarely, and what was seen last goes into the error that the wait leads to: pid, application,
 * login, state, object, age, and the statement that ends it.
 */
#ifndef TALLYMILL_COMMON_LOCK_WATCH_H
#define TALLYMILL_COMMON_LOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

struct statement_watch;

enum { LOCK_TEXT_BYTES = 360 };

/* The caller's memory; belongs to one thread. */
struct lock_watch {
    int64_t since_us, look_at_us;
    char text[LOCK_TEXT_BYTES]; /* as seen at the last look; "": nobody is in the way */
    bool is_told;
};

/* A statement was sent. now_us is monotonic, here and below. */
void lock_watch_start(struct lock_watch *watch, int64_t now_us);

/* Looks, if it is time, who keeps `conn` waiting; over another connection, made with the same settings, which takes up to 4 s and
 * mostly some milliseconds. A wait that goes on is told in the log once. True: it has looked. */
bool lock_watch_look(struct lock_watch *watch, PGconn *conn, int64_t now_us);

/* The statement failed: puts who was in the way into an error about a lock (55P03, 57014, a deadline of ours). Where nobody was
 * seen, whoever holds locks on what is ours is named behind a 55P03 (tallymill.lock_holders(), asked over a connection of its own).
 * Returns false. */
bool lock_watch_explain(const struct lock_watch *watch, PGconn *conn, struct error *err);

/* Who keeps server process `pid` waiting, asked over `side` and put into text (cut there). False: it could not be asked.
 * application: as the waiting session has it, by which it is found behind a pooler, where pid is none of the server's. */
bool lock_watch_ask(PGconn *side, int pid, const char *application, char text[LOCK_TEXT_BYTES]);

/* The query behind it, without parameters; its columns are told in its file. */
extern const char lock_waits_sql[];

/* The same three for a struct lock_watch as the context of a wait (statement.h); the last also says what grants a right that is
 * missing (rights.h). */
extern const struct statement_watch lock_watch_statements;

/* Appends the text to an error, whose kind and SQLSTATE stay. */
void lock_watch_append(struct error *err, const char *text);

/* Whether the error is about a lock that was waited for in vain. */
MUST_CHECK bool lock_watch_is_timeout(const struct error *err);

#endif
