/* unique_messages.h - the messages of a conversation about the uniques of a day (uniques.h), one a step: each of these replaces
 * uniques->sql and says of which step it is. False: no memory for it.
 */
#ifndef TALLYMILL_AGGREGATOR_UNIQUE_MESSAGES_H
#define TALLYMILL_AGGREGATOR_UNIQUE_MESSAGES_H

#include "aggregator/uniques.h"

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
