/* until_end.c - see until_end.h.
 *
 * The ends are those of the logs, open transactions included: what a producer has not committed yet was in the topic all the same,
 * and is waited for. Whoever stored it: the ledger is asked, not our own progress. A worker that cannot get there ends with an
 * error at its deadline, and never as if it had.
 */
#include "consumer/until_end.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/error.h"
#include "consumer/identity.h"
#include "consumer/ledger.h"
#include "consumer/source.h"

#define LOOK_AGAIN_US INT64_C(200000)
#define ASK_AGAIN_US  INT64_C(2000000)

void until_end_init(struct until_end *end, int64_t deadline_us, struct source *source, struct identity *identity, int answers_fd)
{
    *end = (struct until_end){.is_wanted = deadline_us > 0,
                              .deadline_us = deadline_us,
                              .source = source,
                              .identity = identity,
                              .answers_fd = answers_fd,
                              .missing = -1};
}

void until_end_let_go(struct until_end *end)
{
    log_ends_reset(&end->beyond);
    if (end->targets_known)
        log_ends_detach(&end->targets);
    else
        log_ends_reset(&end->targets);
}

void until_end_reset(struct until_end *end)
{
    log_ends_reset(&end->targets);
    log_ends_reset(&end->beyond);
}

/* Asks where the logs of all topic partitions end. */
static bool ask(const struct until_end *end, struct log_ends *ends, struct error *err)
{
    const struct identity *identity = end->identity;
    struct log_end *wanted = calloc((size_t)identity->count + 1, sizeof *wanted);
    if (!wanted)
        return error_set(err, ERROR_RETRY, "no memory for %d topic partitions", identity->count);
    for (int i = 0; i < identity->count; i++)
        wanted[i] = (struct log_end){i, identity->leaders[i], -1, -1};
    const bool asked =
        log_ends_ask(ends, source_handle(end->source), source_topic(end->source), end->answers_fd, wanted, identity->count, err);
    free(wanted);
    return asked;
}

/* All of them told: *told. Asked again where one was not. */
static bool learn(struct until_end *end, struct log_ends *ends, int64_t now_us, bool *told, struct error *err)
{
    struct identity *identity = end->identity;
    *told = false;
    identity_look(identity, source_handle(end->source));
    if (ends->count == 0) {
        if (identity->state != IDENTITY_KNOWN || now_us - identity->told_us > ASK_AGAIN_US)
            identity_ask(identity, source_handle(end->source), source_topic(end->source), end->answers_fd, now_us);
        return identity->state != IDENTITY_KNOWN || ask(end, ends, err);
    }
    log_ends_look(ends);
    if (ends->waiting > 0)
        return true;
    for (int i = 0; i < ends->count; i++)
        if (ends->ends[i].high < 0) {
            log_ends_reset(ends);
            end->next_ask_us = now_us + ASK_AGAIN_US;
            return true;
        }
    *told = true;
    return true;
}

bool until_end_learn(struct until_end *end, int64_t now_us, struct error *err)
{
    return !end->is_wanted || end->targets_known || now_us < end->next_ask_us ||
           learn(end, &end->targets, now_us, &end->targets_known, err);
}

/* A ledger beyond the end of the log is no end reached: the topic was truncated or made anew. Asked for now, since others may store
 * what came after our start. */
static bool find_beyond(struct until_end *end, const int64_t *positions, int64_t now_us, int *stopped, bool *looked,
                        struct error *err)
{
    bool is_beyond = false;
    for (int i = 0; i < end->targets.count; i++)
        is_beyond |= positions[i] > end->targets.ends[i].high;
    *looked = !is_beyond;
    if (!is_beyond || now_us < end->next_ask_us)
        return true;
    if (!learn(end, &end->beyond, now_us, looked, err))
        return false;
    for (int i = 0; *looked && i < end->beyond.count && i < end->targets.count; i++)
        if (positions[i] > end->beyond.ends[i].high)
            *stopped = i;
    if (*looked)
        log_ends_reset(&end->beyond);
    return true;
}

/* Whether all that is read to its end is; *stopped: a topic partition that never will be. */
static bool compare(struct until_end *end, const int64_t *positions, int *stopped)
{
    bool reached = true;
    end->missing = -1;
    for (int i = 0; i < end->targets.count; i++) {
        const struct source_topic_partition *topic_partition = source_find(end->source, i);
        if (topic_partition && topic_partition->is_stopped) {
            *stopped = i;
        } else if (positions[i] < end->targets.ends[i].high) {
            reached = false;
            end->missing = i;
            end->missing_offset = positions[i];
        }
    }
    return reached;
}

bool until_end_check(struct until_end *end, PGconn *conn, int64_t now_us, struct error *err)
{
    if (!end->targets_known || now_us < end->next_check_us)
        return true;
    end->next_check_us = now_us + LOOK_AGAIN_US;
    const int count = end->targets.count;
    int64_t *positions = calloc((size_t)count + 1, sizeof *positions);
    if (!positions)
        return error_set(err, ERROR_RETRY, "no memory for %d positions", count);
    int stopped = -1;
    bool looked = true;
    const bool known = ledger_positions(conn, source_topic(end->source), positions, count, err);
    const bool reached = known && compare(end, positions, &stopped);
    const bool asked = !reached || stopped >= 0 || find_beyond(end, positions, now_us, &stopped, &looked, err);
    free(positions);
    if (!known || !asked)
        return false;
    if (reached && stopped >= 0)
        return error_set(
            err, ERROR_FATAL,
            "topic %s: topic partition %d is not read until a person has looked (see the log above); all others are stored",
            source_topic(end->source), stopped);
    end->is_done = reached && looked;
    return true;
}

bool until_end_is_late(const struct until_end *end, int64_t now_us, struct error *err)
{
    if (!end->is_wanted || end->is_done || now_us < end->deadline_us)
        return false;
    const int number = end->missing;
    const struct source_topic_partition *topic_partition = number >= 0 ? source_find(end->source, number) : NULL;
    if (number < 0)
        error_set(
            err, ERROR_RETRY,
            "topic %s: the end was not reached within --deadline: it is not known where it is, or the ledger could not be asked",
            source_topic(end->source));
    else
        error_set(err, ERROR_RETRY,
                  "topic %s: the end was not reached within --deadline: topic partition %d is stored up to offset %" PRId64
                  ", its log ended at %" PRId64 "%s",
                  source_topic(end->source), number, end->missing_offset, end->targets.ends[number].high,
                  topic_partition && topic_partition->blocked_since_us != 0
                      ? "; a producer's transaction that is open keeps the rest from being read"
                      : "");
    return true;
}
