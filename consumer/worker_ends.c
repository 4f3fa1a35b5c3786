/* worker_ends.c - `--until-end`: what is to be read, and whether it is.
 *
 * The ends are those of the logs, open transactions included: what a producer has not committed yet was in the topic all the same,
 * and is waited for. Whoever stored it: the ledger is asked, not our own progress. A worker that cannot get there ends with an error
 * at its deadline, and never as if it had.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/ledger.h"
#include "consumer/worker_state.h"

#define LOOK_AGAIN_US INT64_C(200000)
#define ASK_AGAIN_US  INT64_C(2000000)

/* Asks where the logs of all topic partitions end. */
static bool ask(struct worker *worker, struct log_ends *ends, struct error *err)
{
    const struct identity *identity = &worker->identity;
    struct log_end *wanted = calloc((size_t)identity->count + 1, sizeof *wanted);
    if (!wanted)
        return error_set(err, ERROR_RETRY, "no memory for %d topic partitions", identity->count);
    for (int i = 0; i < identity->count; i++)
        wanted[i] = (struct log_end){i, identity->leaders[i], -1, -1};
    const bool asked = log_ends_ask(ends, source_handle(worker->source), source_topic(worker->source), worker->answers_fd, wanted,
                                    identity->count, err);
    free(wanted);
    return asked;
}

/* All of them told: *told. Asked again where one was not. */
static bool learn(struct worker *worker, struct log_ends *ends, int64_t now_us, bool *told, struct error *err)
{
    struct identity *identity = &worker->identity;
    *told = false;
    identity_look(identity, source_handle(worker->source));
    if (ends->count == 0) {
        if (identity->state != IDENTITY_KNOWN || now_us - identity->told_us > ASK_AGAIN_US)
            identity_ask(identity, source_handle(worker->source), source_topic(worker->source), worker->answers_fd, now_us);
        return identity->state != IDENTITY_KNOWN || ask(worker, ends, err);
    }
    log_ends_look(ends);
    if (ends->waiting > 0)
        return true;
    for (int i = 0; i < ends->count; i++)
        if (ends->ends[i].high < 0) {
            log_ends_reset(ends);
            worker->next_ask_us = now_us + ASK_AGAIN_US;
            return true;
        }
    *told = true;
    return true;
}

bool worker_learn_targets(struct worker *worker, int64_t now_us, struct error *err)
{
    return !worker->until_end || worker->targets_known || now_us < worker->next_ask_us ||
           learn(worker, &worker->targets, now_us, &worker->targets_known, err);
}

/* A ledger beyond the end of the log is no end reached: the topic was truncated or made anew. Asked for now, since others may store
 * what came after our start. */
static bool find_beyond(struct worker *worker, const int64_t *positions, int64_t now_us, int *stopped, bool *looked, struct error *err)
{
    bool is_beyond = false;
    for (int i = 0; i < worker->targets.count; i++)
        is_beyond |= positions[i] > worker->targets.ends[i].high;
    *looked = !is_beyond;
    if (!is_beyond || now_us < worker->next_ask_us)
        return true;
    if (!learn(worker, &worker->beyond, now_us, looked, err))
        return false;
    for (int i = 0; *looked && i < worker->beyond.count && i < worker->targets.count; i++)
        if (positions[i] > worker->beyond.ends[i].high)
            *stopped = i;
    if (*looked)
        log_ends_reset(&worker->beyond);
    return true;
}

/* Whether all that is read to its end is; *stopped: a topic partition that never will be. */
static bool compare(struct worker *worker, const int64_t *positions, int *stopped)
{
    bool reached = true;
    worker->farthest = -1;
    for (int i = 0; i < worker->targets.count; i++) {
        const struct source_partition *partition = source_find(worker->source, i);
        if (partition && partition->is_stopped) {
            *stopped = i;
        } else if (positions[i] < worker->targets.ends[i].high) {
            reached = false;
            worker->farthest = i;
            worker->farthest_offset = positions[i];
        }
    }
    return reached;
}

bool worker_check_ends(struct worker *worker, int64_t now_us, struct error *err)
{
    if (!worker->targets_known || now_us < worker->next_end_check_us)
        return true;
    worker->next_end_check_us = now_us + LOOK_AGAIN_US;
    const int count = worker->targets.count;
    int64_t *positions = calloc((size_t)count + 1, sizeof *positions);
    if (!positions)
        return error_set(err, ERROR_RETRY, "no memory for %d positions", count);
    int stopped = -1;
    bool looked = true;
    const bool known = ledger_positions(worker->conn, source_topic(worker->source), positions, count, err);
    const bool reached = known && compare(worker, positions, &stopped);
    const bool asked = !reached || stopped >= 0 || find_beyond(worker, positions, now_us, &stopped, &looked, err);
    free(positions);
    if (!known || !asked)
        return false;
    if (reached && stopped >= 0)
        return error_set(
            err, ERROR_FATAL,
            "topic %s: topic partition %d is not read until a person has looked (see the log above); all others are stored",
            source_topic(worker->source), stopped);
    worker->done = reached && looked;
    return true;
}

bool worker_is_late(struct worker *worker, int64_t now_us, struct error *err)
{
    if (!worker->until_end || worker->done || now_us < worker->until_end_us)
        return false;
    const int number = worker->farthest;
    const struct source_partition *partition = number >= 0 ? source_find(worker->source, number) : NULL;
    if (number < 0)
        error_set(err, ERROR_RETRY, "topic %s: the end was not reached within --deadline: it is not known where it is, or the ledger could not be asked",
                  source_topic(worker->source));
    else
        error_set(err, ERROR_RETRY,
                  "topic %s: the end was not reached within --deadline: topic partition %d is stored up to offset %" PRId64
                  ", its log ended at %" PRId64 "%s",
                  source_topic(worker->source), number, worker->farthest_offset, worker->targets.ends[number].high,
                  partition && partition->held_since_us != 0 ? "; a producer's transaction that is open keeps the rest from being read" : "");
    return true;
}
