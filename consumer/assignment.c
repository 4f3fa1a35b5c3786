/* assignment.c - see assignment.h.
 *
 * Order matters: ask which topic this is, then claim, so that whoever owned these topic partitions can commit no more and the
 * positions read are final; then compare with what Kafka has; only then read. Nothing is taken from the offsets that the group
 * committed. Kafka is asked without waiting, and each topic partition is read as soon as its own leader has answered: one without a
 * leader keeps no other from being read.
 */
#include "consumer/assignment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/service.h"
#include "common/settings.h"
#include "consumer/ledger.h"
#include "consumer/source.h"
#include "consumer/start.h"

#define LOOK_AGAIN_US INT64_C(2000000)
#define WARN_AGAIN_US INT64_C(60000000)

/* ---- which topic this is ---- */

/* *told: an answer to a question that was sent since the claim is wanted. */
static bool ask_identity(struct assignment *assignment, int64_t now_us, bool *told, struct error *err)
{
    struct identity *identity = assignment->identity;
    identity_look(identity, source_handle(assignment->source));
    *told = false;
    if (assignment->claim_since_us == 0)
        assignment->claim_since_us = now_us;
    if (identity->failed_us >= assignment->claim_since_us) {
        assignment->claim_since_us = now_us + 1; /* the next try needs an answer of its own */
        *err = identity->error;
        if (err->kind == ERROR_USAGE && assignment->cluster_id[0] != '\0') /* it was let in before: a right that is taken away */
            err->kind = ERROR_RETRY;
        return false;
    }
    if (identity->told_us < assignment->claim_since_us) {
        identity_ask(identity, source_handle(assignment->source), source_topic(assignment->source), assignment->answers_fd, now_us);
        return true;
    }
    if (identity->state == IDENTITY_GONE || identity->cluster_id[0] == '\0') {
        assignment->claim_since_us = now_us + 1;
        return error_set(err, ERROR_RETRY,
                         identity->state == IDENTITY_GONE ? "topic %s does not exist (any more) in this Kafka cluster"
                                                          : "topic %s: no Kafka broker has told its cluster id",
                         source_topic(assignment->source));
    }
    *told = true;
    return true;
}

/* The ledger is about another topic of that name: nothing of this one is read, each topic partition says so (stop_foreign). A
 * person may begin new books meanwhile. */
static bool note_foreign(struct assignment *assignment, struct source_topic_partition *topic_partitions, int count,
                         const struct error *why, int64_t now_us, struct error *err)
{
    log_error_because(why, "the topic was deleted and recreated: nothing of it is stored", "topic=%s topic_partitions=%d",
                      source_topic(assignment->source), count);
    const int positions_count = topic_partitions[count - 1].claim.topic_partition + 1;
    int64_t *positions = calloc((size_t)positions_count, sizeof *positions);
    if (!positions)
        return error_set(err, ERROR_RETRY, "no memory for %d positions", positions_count);
    const bool is_read = ledger_positions(assignment->conn, source_topic(assignment->source), positions, positions_count, err);
    for (int i = 0; i < count; i++)
        topic_partitions[i].claim.next_offset = topic_partitions[i].expected_offset =
            positions[topic_partitions[i].claim.topic_partition];
    free(positions);
    assignment->is_foreign = true;
    assignment->name_wanted = false;
    assignment->resync_at_us = now_us + WARN_AGAIN_US;
    return is_read;
}

/* Claims what the group gave us. Fills claims; topic partitions stop where it is another topic. */
static bool claim_wanted(struct assignment *assignment, struct claim *claims, struct source_topic_partition *topic_partitions,
                         int count, int64_t now_us, struct error *err)
{
    const struct identity *identity = assignment->identity;
    const struct claimant claimant = {source_topic(assignment->source), identity->topic_id, identity->cluster_id,
                                      settings_text(assignment->settings, "consumer.group"), assignment->owner};
    memcpy(assignment->topic_id, identity->topic_id, sizeof assignment->topic_id);
    memcpy(assignment->cluster_id, identity->cluster_id, sizeof assignment->cluster_id);
    assignment->name_wanted = assignment->is_foreign = false;
    const bool is_ours = ledger_claim(assignment->conn, &claimant, claims, count, err);
    if (!is_ours && !postgres_is(err, POSTGRES_TOPIC_ANEW))
        return false;
    for (int i = 0; i < count; i++) {
        topic_partitions[i].claim = claims[i];
        topic_partitions[i].expected_offset = claims[i].next_offset;
        topic_partitions[i].end_offset = -1;
        topic_partitions[i].is_waiting = true;
        assignment->name_wanted |= !claims[i].is_proven && assignment->topic_id[0] != '\0';
    }
    if (is_ours)
        return true;
    const struct error why = *err;
    error_clear(err);
    return note_foreign(assignment, topic_partitions, count, &why, now_us, err);
}

/* ---- beginning at the right place ---- */

static void note_truncated(const struct assignment *assignment, const struct claim *claim, int64_t high)
{
    log_error("topic partition ends before what is stored: truncated or recreated; not read until a person has looked",
              "topic=%s topic_partition=%" PRId32 " next_offset=%" PRId64 " high=%" PRId64, source_topic(assignment->source),
              claim->topic_partition, claim->next_offset, high);
}

/* Its log is another one, as the topic's id tells; whether that shows by its offsets too is logged beside it. */
static void stop_foreign(struct assignment *assignment, struct source_topic_partition *topic_partition, const struct log_end *log)
{
    const struct claim *claim = &topic_partition->claim;
    topic_partition->is_stopped = true;
    topic_partition->stopped_because = "the topic was deleted and made anew; tallymill topic renew begins new books for it";
    if (claim->next_offset > log->high)
        note_truncated(assignment, claim, log->high);
    else
        log_error("the topic was deleted and recreated, another message stands where the last stored one was; not read until a "
                  "person has looked",
                  "topic=%s topic_partition=%" PRId32 " next_offset=%" PRId64 " high=%" PRId64, source_topic(assignment->source),
                  claim->topic_partition, claim->next_offset, log->high);
}

static bool note_gap(struct assignment *assignment, struct source_topic_partition *topic_partition, int64_t to_offset,
                     struct error *err)
{
    struct claim *claim = &topic_partition->claim;
    const char *topic = source_topic(assignment->source);
    if (!ledger_record_gap(assignment->conn, topic, claim, to_offset, "retention", err))
        return false;
    log_error("events were gone before they were read",
              "topic=%s topic_partition=%" PRId32 " first_offset=%" PRId64 " next_offset=%" PRId64 " reason=retention", topic,
              claim->topic_partition, claim->next_offset, to_offset);
    assignment->gap_offsets += to_offset - claim->next_offset;
    claim->next_offset = topic_partition->expected_offset = to_offset;
    return true;
}

/* The anchors to be met before anything is stored: older ones too where the topic's id does not tell. */
static bool choose_anchors(struct assignment *assignment, struct source_topic_partition *topic_partition, const struct start *start,
                           int64_t low, struct error *err)
{
    const struct claim *claim = &topic_partition->claim;
    topic_partition->anchor_count = topic_partition->anchors_met = 0;
    topic_partition->has_matched = false;
    if (!claim->is_proven && claim->anchor_offset >= 0 &&
        !ledger_older_anchors(assignment->conn, source_topic(assignment->source), claim->topic_partition, low,
                              topic_partition->anchors, SOURCE_ANCHORS - 1, &topic_partition->anchor_count, err))
        return false;
    while (topic_partition->anchor_count > 0 &&
           topic_partition->anchors[topic_partition->anchor_count - 1].offset >= claim->anchor_offset)
        topic_partition->anchor_count--; /* the last of them is the claim's */
    if (start->kind == START_ANCHOR) {
        struct anchor *last = &topic_partition->anchors[topic_partition->anchor_count++];
        last->offset = claim->anchor_offset;
        memcpy(last->hash, claim->anchor_hash, sizeof last->hash);
    }
    return true;
}

static bool begin_topic_partition(struct assignment *assignment, struct source_topic_partition *topic_partition,
                                  const struct log_end *log, struct error *err)
{
    struct claim *claim = &topic_partition->claim;
    const struct start start = start_decide(claim, log->low, log->high);
    topic_partition->is_waiting = false;
    if (assignment->is_foreign) {
        stop_foreign(assignment, topic_partition, log);
        return true;
    }
    topic_partition->is_stopped = start.kind == START_TRUNCATED;
    topic_partition->stopped_because = topic_partition->is_stopped
                                           ? "its log ends before what is stored, so it was truncated or made anew; "
                                             "tallymill audit names the place, tallymill reset --at goes on"
                                           : NULL;
    if (start.kind == START_TRUNCATED)
        note_truncated(assignment, claim, log->high);
    else if (start.kind == START_GAP && !note_gap(assignment, topic_partition, start.offset, err))
        return false;
    else if (start.kind == START_NEXT && claim->anchor_offset >= 0)
        log_warn("the last stored message is gone from Kafka: its place cannot be verified",
                 "topic=%s topic_partition=%" PRId32 " anchor_offset=%" PRId64 " next_offset=%" PRId64,
                 source_topic(assignment->source), claim->topic_partition, claim->anchor_offset, claim->next_offset);
    return topic_partition->is_stopped || choose_anchors(assignment, topic_partition, &start, log->low, err);
}

/* ---- what waits ---- */

static bool ask_ends(struct assignment *assignment, struct error *err)
{
    int count, wanted_count = 0;
    const struct source_topic_partition *topic_partitions = source_topic_partitions(assignment->source, &count);
    struct log_end *wanted = calloc((size_t)count + 1, sizeof *wanted);
    if (!wanted)
        return error_set(err, ERROR_RETRY, "no memory for %d topic partitions", count);
    for (int i = 0; i < count; i++) {
        const int32_t number = topic_partitions[i].claim.topic_partition;
        if (topic_partitions[i].is_waiting && !topic_partitions[i].is_stopped)
            wanted[wanted_count++] =
                (struct log_end){number, number < assignment->identity->count ? assignment->identity->leaders[number] : -1, -1, -1};
    }
    const bool asked = log_ends_ask(&assignment->logs, source_handle(assignment->source), source_topic(assignment->source),
                                    assignment->answers_fd, wanted, wanted_count, err);
    free(wanted);
    return asked;
}

/* Those that were answered for are begun; the others go on being read where they are. */
static bool begin_answered(struct assignment *assignment, int *waiting, int32_t *first_waiting, struct error *err)
{
    int count, begun = 0;
    struct source_topic_partition *topic_partitions = source_topic_partitions(assignment->source, &count);
    *waiting = 0;
    for (int i = 0; i < count; i++) {
        const int32_t number = topic_partitions[i].claim.topic_partition;
        if (!topic_partitions[i].is_waiting || topic_partitions[i].is_stopped)
            continue;
        const struct log_end *log = log_ends_find(&assignment->logs, number);
        if (log && log->low >= 0 && log->high >= 0) {
            service_watchdog(clock_now_us());
            if (!begin_topic_partition(assignment, &topic_partitions[i], log, err))
                return false;
            begun++;
        } else if ((*waiting)++ == 0) {
            *first_waiting = number;
        }
    }
    return begun == 0 || source_assign(assignment->source, topic_partitions, count, err);
}

/* None of them has been answered for: they are asked about again, and that is logged now and then. */
static void wait_on(struct assignment *assignment, int waiting, int32_t first_waiting, int64_t now_us)
{
    log_ends_reset(&assignment->logs);
    assignment->look_at_us = now_us + LOOK_AGAIN_US;
    if (assignment->warned_us != 0 && now_us - assignment->warned_us < WARN_AGAIN_US)
        return;
    assignment->warned_us = now_us;
    log_warn("cannot begin this topic partition now: it has no leader, or that does not answer; the others go on",
             "topic=%s topic_partition=%" PRId32 " topic_partitions=%d", source_topic(assignment->source), first_waiting, waiting);
}

static bool ask_again(struct assignment *assignment, int64_t now_us, struct error *err)
{
    struct identity *identity = assignment->identity;
    identity_look(identity, source_handle(assignment->source));
    if (now_us < assignment->look_at_us)
        return true;
    if (identity->told_us >= assignment->look_at_us && identity->state == IDENTITY_KNOWN)
        return ask_ends(assignment, err);
    if (identity->told_us >= assignment->look_at_us || identity->failed_us >= assignment->look_at_us)
        assignment->look_at_us = now_us + LOOK_AGAIN_US;
    else
        identity_ask(identity, source_handle(assignment->source), source_topic(assignment->source), assignment->answers_fd, now_us);
    return true;
}

bool assignment_begin(struct assignment *assignment, PGconn *conn, int64_t now_us, struct error *err)
{
    int waiting;
    int32_t first_waiting = -1;
    assignment->conn = conn;
    if (assignment->look_at_us == 0)
        return true;
    log_ends_look(&assignment->logs);
    if (!begin_answered(assignment, &waiting, &first_waiting, err))
        return false;
    if (waiting == 0) {
        assignment->look_at_us = assignment->warned_us = 0;
        log_ends_reset(&assignment->logs);
        return true;
    }
    if (assignment->logs.count == 0)
        return ask_again(assignment, now_us, err);
    if (assignment->logs.waiting == 0)
        wait_on(assignment, waiting, first_waiting, now_us);
    return true;
}

/* ---- the answer to the group ---- */

static bool take_assignment(struct assignment *assignment, const struct claim *wanted, int count, int64_t now_us, struct error *err)
{
    bool done = false;
    struct claim *claims = calloc((size_t)count + 1, sizeof *claims);
    struct source_topic_partition *topic_partitions = calloc((size_t)count + 1, sizeof *topic_partitions);
    if (!claims || !topic_partitions) {
        error_set(err, ERROR_RETRY, "no memory for %d topic partitions", count);
        goto out;
    }
    if (count > 0)
        memcpy(claims, wanted, (size_t)count * sizeof *claims);
    if (count > 0 && !claim_wanted(assignment, claims, topic_partitions, count, now_us, err))
        goto out;
    if (count > 0)
        FAILPOINT("claimed");
    if (!source_assign(assignment->source, topic_partitions, count, err))
        goto out;
    free(assignment->claimed);
    assignment->claimed = claims;
    assignment->claimed_count = count;
    claims = NULL;
    assignment->look_at_us = now_us;
    if (count > 0 && !ask_ends(assignment, err))
        goto out;
    assignment->claims_made++;
    done = true;
out:
    free(topic_partitions);
    free(claims);
    return done;
}

bool assignment_is_due(const struct assignment *assignment)
{
    return assignment->is_wanted || assignment->resync;
}

bool assignment_claim(struct assignment *assignment, PGconn *conn, int64_t now_us, struct error *err)
{
    int count;
    bool told = true;
    const struct claim *wanted = source_wanted(assignment->source, &count);
    assignment->conn = conn;
    if (count == 0 &&
        !assignment->is_wanted) { /* between two assignments: the next one claims, and nothing may be said to the group */
        assignment->resync = false;
        return true;
    }
    assignment->resync_at_us = 0;
    if (count > 0 && !ask_identity(assignment, now_us, &told, err))
        return false;
    if (!told)
        return true;
    if (!take_assignment(assignment, wanted, count, now_us, err))
        return false;
    assignment->claim_since_us = 0;
    assignment->resync = assignment->is_wanted = false;
    return true;
}

void assignment_init(struct assignment *assignment, const struct settings *settings, const char *owner, struct source *source,
                     struct identity *identity, int answers_fd)
{
    *assignment =
        (struct assignment){.settings = settings, .owner = owner, .source = source, .identity = identity, .answers_fd = answers_fd};
}

void assignment_free(struct assignment *assignment)
{
    log_ends_reset(&assignment->logs);
    free(assignment->claimed);
    assignment->claimed = NULL;
}

void assignment_let_go(struct assignment *assignment)
{
    log_ends_reset(&assignment->logs);
    assignment->is_wanted = assignment->is_revoked = assignment->resync = assignment->rejoin = false;
    assignment->resync_at_us = assignment->claim_since_us = assignment->look_at_us = assignment->warned_us = 0;
}
