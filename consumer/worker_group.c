/* worker_group.c - what the group is owed while no batch is under way: topic partitions given back, claimed, begun; and a new try
 * where that failed.
 */
#include "common/log.h"
#include "common/postgres.h"
#include "consumer/worker_metrics.h"
#include "consumer/worker_state.h"

/* What claiming and beginning has brought: counted, logged; and how long the topic keeps events is asked. */
static void follow_assignment(struct worker *worker)
{
    int count;
    struct assignment *assignment = &worker->assignment;
    if (assignment->gap_offsets == 0 && assignment->claims_made == 0)
        return;
    source_topic_partitions(worker->source, &count);
    metrics_add(worker->metrics, WORKER_GAPS, 0, assignment->gap_offsets);
    metrics_add(worker->metrics, WORKER_ASSIGNMENTS, 0, assignment->claims_made);
    if (assignment->claims_made > 0 && count > 0) {
        retention_ask(&worker->retention, source_handle(worker->source), source_topic(worker->source));
        worker_log_reading(worker);
    }
    assignment->gap_offsets = assignment->claims_made = 0;
}

/* Reading could not begin. False: nor will it, and `why` ends the worker. */
static bool try_claim_again(struct worker *worker, const struct error *why, int64_t now_us)
{
    const bool is_migrating = postgres_is(why, POSTGRES_MIGRATING);
    if (why->kind != ERROR_RETRY && !is_migrating)
        return false;
    worker_metrics_retry(worker, why);
    if (!worker_refusal_of_topic(worker, why, now_us)) {
        log_warn_because(why, "cannot begin reading, trying again", "topic=%s", source_topic(worker->source));
        worker->claim_setbacks++;
        worker_trouble(worker, TROUBLE_OF_CLAIM, why, now_us);
    }
    worker->assignment.resync = true;
    connection_back_off(&worker->connection, now_us);
    /* Connecting looks at the schema again, and finds the server that takes rows when this one was demoted. */
    if (is_migrating || postgres_is(why, POSTGRES_READ_ONLY) || !connection_is_idle(&worker->connection))
        worker_drop_connection(worker, now_us);
    return true;
}

void worker_give_back(struct worker *worker)
{
    batches_drop(&worker->batches, worker->is_open);
    source_unassign(worker->source);
    worker->assignment.is_revoked = false;
}

enum group_answer worker_answer_group(struct worker *worker, int64_t now_us, struct error *err)
{
    struct assignment *assignment = &worker->assignment;
    PGconn *conn = worker->connection.conn;
    struct error why = {0};
    if (assignment->is_revoked) {
        worker_give_back(worker);
        return GROUP_BUSY;
    }
    if (assignment->rejoin) {
        assignment->rejoin = false;
        source_rejoin(worker->source);
    }
    assignment->resync |= assignment->resync_at_us != 0 && now_us >= assignment->resync_at_us;
    const bool is_claiming = assignment_is_due(assignment);
    if (is_claiming)
        batches_drop(&worker->batches, worker->is_open);
    const bool is_done = is_claiming ? assignment_claim(assignment, conn, now_us, &why)
                                     : assignment_begin(assignment, conn, now_us, &why) && worker_name_topic(worker, &why);
    follow_assignment(worker);
    if (!is_done && try_claim_again(worker, &why, now_us))
        return GROUP_BUSY;
    if (!is_done) {
        *err = why;
        return GROUP_FAILED;
    }
    if (!is_claiming)
        return GROUP_QUIET;
    if (!assignment_is_due(assignment)) { /* it holds; else it waits for Kafka */
        worker->claim_setbacks = 0;
        if (worker->trouble == TROUBLE_OF_CLAIM)
            worker_trouble_over(worker);
    }
    return GROUP_BUSY;
}
