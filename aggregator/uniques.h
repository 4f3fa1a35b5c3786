/* uniques.h - counts the uniques of one day into analytics_daily_uniques, as a conversation of single messages with the server.
 *
 * One transaction a day: read the day's keys by one query a kind (sessions, users), compare them with what tallymill.day_keys has
 * of the day, walk over the other days' keys with those that came or went (key_changes.h), write what that changes, and the day's
 * keys. A day that nobody is behind, the newest, stores no keys: it changes all the time. Whoever owns the session sends what
 * uniques_sql() says and hands the answer to uniques_take(), so nothing here waits. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_UNIQUES_H
#define TALLYMILL_AGGREGATOR_UNIQUES_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "aggregator/identity.h"
#include "aggregator/key_changes.h"
#include "aggregator/key_list.h"
#include "aggregator/unique_cells.h"
#include "common/error.h"

enum uniques_step {
    UNIQUES_IDLE,
    UNIQUES_SECRET, /* the database's secret, once */
    UNIQUES_NOTE,   /* the failure of the run before */
    UNIQUES_BEGIN,
    UNIQUES_ROWS,   /* what the matrix has of a day whose keys are stored nowhere */
    UNIQUES_KEYS,   /* the day's keys now */
    UNIQUES_BEFORE, /* and before */
    UNIQUES_BACK,   /* keys of earlier days */
    UNIQUES_FORTH,  /* keys of later days */
    UNIQUES_WRITE,
    UNIQUES_CHANGE,
    UNIQUES_END,
    UNIQUES_NOTHING, /* the end of a transaction that had nothing to do */
};

struct uniques {
    enum uniques_step step; /* what was, or is to be, sent */
    char *sql;              /* the message */
    struct identity identity;
    bool has_secret;
    int64_t keep_us, timeout_us, epoch;
    const char *since; /* --once: what ran before does not count; borrowed */

    /* the day */
    int32_t day, definition;
    int64_t version, run, begun_us;
    bool was_stored, is_stored, has_later;
    bool is_kept;           /* its events are not to be read: its keys are those that are kept, but for what kept_keys() says */
    uint64_t kept_subjects; /* that are taken of them */

    /* the part of it */
    enum key_kind kind;
    int first_slot, next_slot;
    bool is_last_part, has_keys_cursor, has_others_cursor;
    PGresult *chunk; /* of keys that were fetched; row: the next */
    int row;
    int32_t walked_day;
    int lists;                  /* that the last FETCH of other days' keys asked for */
    size_t keys_most, keys_now; /* a part has so many keys, or few more; keys_now: after a part that found no room, fewer */
    struct key_changes changes;
    struct unique_cells cells;
    struct key_bytes bytes;

    int32_t failed_day, failed_definition; /* to be noted; failed_day DAY_NEVER: nothing */
    char failed_text[ERROR_TEXT_BYTES];
    bool did_run;                /* the last conversation counted a day */
    int64_t runs, keys, took_us; /* for the metrics */
};

/* Of memory.max, what one part of a day takes; the rest of the program may not count on it. */
int64_t uniques_share_bytes(int64_t memory_bytes);

/* seed: random. */
void uniques_init(struct uniques *uniques, int64_t memory_bytes, uint64_t seed);
void uniques_free(struct uniques *uniques);

/* The session is lost, and with it what was begun. */
void uniques_stop(struct uniques *uniques);

/* Begins a conversation; what to send is uniques_sql(). since: NULL, or the server's time as text, borrowed until the end of the
 * conversation. */
MUST_CHECK bool uniques_start(struct uniques *uniques, int64_t epoch, const char *since, int64_t keep_us, int64_t timeout_us,
                              int64_t now_us, struct error *err);

/* The message to send; NULL: the conversation is over, and did_run says whether there was a day to count. */
static inline const char *uniques_sql(const struct uniques *uniques)
{
    return uniques->sql;
}

/* Takes the answer (its rows or NULL), which it frees, and makes the next message. False: call uniques_failed(), and close the
 * session. */
MUST_CHECK bool uniques_take(struct uniques *uniques, PGresult *answer, int64_t now_us, struct error *err);

/* The conversation failed with this error. True: it is the day's own, and is noted with the next conversation, so that other days
 * go on. */
bool uniques_failed(struct uniques *uniques, const struct error *err);

/* ---- unique_messages.c: the messages, one a step ----
 *
 * Each replaces uniques->sql and says of which step it is. False: no memory for it. */

/* Rows of one FETCH; where fewer come, those were the last. */
enum { FETCH_KEYS = 4096, FETCH_LISTS = 4, FETCH_LISTS_MOST = 256, FETCH_ROWS = 8192 };

/* ERROR_RETRY, for want of memory for a day's keys; always false. */
MUST_CHECK bool unique_messages_no_memory(struct error *err);

/* "session", "user" */
const char *unique_messages_kind(enum key_kind kind);

/* Any other message. */
MUST_CHECK bool unique_messages_say(struct uniques *uniques, enum uniques_step step, struct error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Begins the transaction; its answer is the day that is due, or none. */
MUST_CHECK bool unique_messages_begin(struct uniques *uniques, struct error *err);

/* Notes the failure of the run before. */
MUST_CHECK bool unique_messages_failure(struct uniques *uniques, struct error *err);

/* The day's keys of this kind, FETCH_KEYS of them, by a cursor. */
MUST_CHECK bool unique_messages_keys(struct uniques *uniques, struct error *err);

/* The first rows of a query by a second cursor, one at a time, in the form that the server has them in where is_binary; and more of
 * them. */
MUST_CHECK bool unique_messages_open(struct uniques *uniques, enum uniques_step step, bool is_binary, int rows, struct error *err,
                                     const char *query);
MUST_CHECK bool unique_messages_more(struct uniques *uniques, int rows, struct error *err);

/* By the same cursor the kept keys of the days that compare so with this one ("<"), of the slots of this part; order: " DESC" or
 * "". */
MUST_CHECK bool unique_messages_lists(struct uniques *uniques, enum uniques_step step, const char *comparison, const char *order,
                                      struct error *err);

/* The changes of the matrix so far. */
MUST_CHECK bool unique_messages_changes(struct uniques *uniques, struct error *err);

#endif
