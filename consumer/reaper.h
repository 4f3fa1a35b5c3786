/* reaper.h - finds who holds what our batch waits for, and ends the server processes of frozen workers among them.
 *
 * A worker that was stopped in the middle of COPY keeps its uncommitted ids locked; whoever stores the same events waits for it
 * without limit, and no time-out of the server fires (measured). Only processes of our own login are touched, in a transaction
 * older than 5 s, that wait for their client (ClientRead) inside a COPY, or idle in transaction, and have not moved for 2 s: a slow
 * healthy worker moves. Any other holder is only named: a forgotten client's lock is for a person to end.
 */
#ifndef TALLYMILL_CONSUMER_REAPER_H
#define TALLYMILL_CONSUMER_REAPER_H

#include <stdbool.h>

#include "common/error.h"
#include "common/lock_watch.h"

struct reaper;

/* A thread with a connection of its own looks at what blocks server process `pid`, for at most 30 s or until reaper_stop.
 * application: the name of the session that waits (lock_watch_ask). Both texts are borrowed. NULL and ERROR_RETRY when the thread
 * cannot start. */
MUST_CHECK struct reaper *reaper_start(const char *dsn, int pid, const char *application, struct error *err);

/* Whether its work is over (then reaper_stop does not wait). */
bool reaper_is_done(const struct reaper *reaper);

/* Then: because it could not look. Start the next one later, not at once. */
bool reaper_has_failed(const struct reaper *reaper);

/* Who is in the way, as seen at the last look (lock_watch.h); "" where nobody is. Copied into text. */
void reaper_holder(struct reaper *reaper, char text[LOCK_TEXT_BYTES]);

/* Asks it to end, waits for it (at most a query's 2 s) and frees it. NULL is fine. */
void reaper_stop(struct reaper *reaper);

#endif
