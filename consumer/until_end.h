/* until_end.h - `--until-end`: what is to be read, and whether it is in the ledger, whoever stored it. Main thread.
 *
 *     ends not known  ->  known (all logs were asked)  ->  is_done (the ledger stands at each, or beyond)
 *     either of the first two, past deadline_us  ->  late: the worker ends with an error
 */
#ifndef TALLYMILL_CONSUMER_UNTIL_END_H
#define TALLYMILL_CONSUMER_UNTIL_END_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "consumer/log_ends.h"

struct identity;
struct source;

struct until_end {
    bool is_wanted, is_done;
    int64_t deadline_us;   /* the end must be reached by then */
    struct source *source; /* borrowed, like these two: */
    struct identity *identity;
    int answers_fd;
    struct log_ends targets; /* the ends to reach, as they were at the start */
    bool targets_known;
    struct log_ends beyond; /* asked about when the ledger stands beyond a target */
    int64_t next_check_us, next_ask_us;
    int missing; /* the last topic partition that was not stored to its target, at the last look, and up to where it was; -1: none
                  */
    int64_t missing_offset;
};

/* deadline_us: by clock_now_us(); 0: not wanted, and nothing below does anything. answers_fd: made readable when Kafka has
 * answered. */
void until_end_init(struct until_end *end, int64_t deadline_us, struct source *source, struct identity *identity, int answers_fd);

/* Asks Kafka for the ends, without waiting. False: as log_ends_ask. */
MUST_CHECK bool until_end_learn(struct until_end *end, int64_t now_us, struct error *err);

/* Asks the ledger over an idle connection, a few times a second. False: ERROR_FATAL ends the worker, else a retry. */
MUST_CHECK bool until_end_check(struct until_end *end, PGconn *conn, int64_t now_us, struct error *err);

/* The deadline has passed; err (ERROR_RETRY) says what is missing. */
MUST_CHECK bool until_end_is_late(const struct until_end *end, int64_t now_us, struct error *err);

/* Before the Kafka client goes that was asked: what is known stays known. */
void until_end_let_go(struct until_end *end);

/* Without one too. */
void until_end_reset(struct until_end *end);

#endif
