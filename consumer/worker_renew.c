/* worker_renew.c - other secrets for a running worker: a new Kafka client.
 *
 * librdkafka takes certificates when a handle is made and never again. So a second handle is made beside the one in use, a member
 * of no group, and asked which topic this is: the answer proves its login, whom it trusts and its rights. Only then does the worker
 * leave the group by the old one, as at a stop, and join it by the new one, as at a start; the batch under way is ended first, and
 * what was only decoded is read again from the ledger's position. A static member comes back under its name. A handle that is
 * refused is let go, and the old one goes on.
 *
 * It begins with a SIGHUP; and, for the content of files only, when no broker has answered for a while: the old secret may be
 * refused since.
 *
 * Rejected: rd_kafka_sasl_set_credentials(). It does for passwords alone, and nobody would learn that the new one is wrong before
 * the connections made with the old one are gone.
 */
#include <string.h>

#include "common/clock.h"
#include "common/kafka_trouble.h"
#include "common/log.h"
#include "common/settings.h"
#include "consumer/source_conf.h"
#include "consumer/worker_state.h"

#define PROOF_LIMIT_US INT64_C(30000000) /* an administrator's change takes its time from broker to broker */
#define LOOK_AGAIN_US  INT64_C(10000000)

static void give_up(struct worker *worker)
{
    struct renewal *renewal = &worker->renewal;
    identity_reset(&renewal->proof);
    if (renewal->handle)
        rd_kafka_destroy_flags(renewal->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    settings_free(renewal->fresh);
    renewal->handle = NULL;
    renewal->fresh = NULL;
    renewal->is_proven = false;
}

void worker_renew_end(struct worker *worker)
{
    give_up(worker);
}

static void refused(struct worker *worker, const struct error *why)
{
    log_error_because(why,
                      "the new kafka.* settings, or the secrets in their files, were not taken: the Kafka client before goes on. "
                      "Mend them and send SIGHUP again",
                      "servers=%s", source_conf_brokers(worker->renewal.fresh));
    give_up(worker);
}

/* All but kafka.* stays as it is in force. */
static rd_kafka_t *make_handle(struct worker *worker, struct settings *fresh, struct error *err)
{
    settings_swap_kafka(worker->settings, fresh);
    rd_kafka_t *handle = source_make_handle(worker->source, worker->settings, err);
    settings_swap_kafka(worker->settings, fresh);
    return handle;
}

void worker_renew_begin(struct worker *worker, struct settings *fresh, int64_t now_us)
{
    struct renewal *renewal = &worker->renewal;
    struct error err = {0};
    give_up(worker); /* what was read later is right */
    if (settings_is_same_kafka(worker->settings, fresh)) {
        settings_free(fresh);
        return;
    }
    renewal->fresh = fresh;
    renewal->began_us = now_us;
    renewal->handle = make_handle(worker, fresh, &err);
    if (!renewal->handle) {
        refused(worker, &err);
        return;
    }
    log_info("kafka.* or a file that it names has changed: trying a new Kafka client", NULL);
    identity_ask(&renewal->proof, renewal->handle, source_topic(worker->source), worker->answers_fd, now_us);
}

/* An answer has come: whether this handle may take the place of the other. */
static bool judge(struct worker *worker, struct error *err)
{
    const struct identity *proof = &worker->renewal.proof;
    if (proof->state == IDENTITY_GONE)
        return error_set(err, ERROR_USAGE, "kafka.bootstrap.servers leads to a cluster without the topic %s",
                         source_topic(worker->source));
    if (worker->assignment.cluster_id[0] != '\0' && strcmp(proof->cluster_id, worker->assignment.cluster_id) != 0)
        return error_set(err, ERROR_USAGE, "kafka.bootstrap.servers leads to another cluster (%s, the ledger is about %s)",
                         proof->cluster_id, worker->assignment.cluster_id);
    return source_may_read(worker->renewal.handle, worker->settings, err);
}

static void look_at_proof(struct worker *worker, int64_t now_us)
{
    struct renewal *renewal = &worker->renewal;
    struct error err = {0};
    if (!identity_look(&renewal->proof, renewal->handle))
        return;
    if (renewal->proof.state != IDENTITY_UNKNOWN) {
        renewal->is_proven = judge(worker, &err);
        if (!renewal->is_proven)
            refused(worker, &err);
        return;
    }
    err = renewal->proof.error;
    kafka_trouble_explain(renewal->handle, &err);
    if (now_us - renewal->began_us < PROOF_LIMIT_US && err.kind == ERROR_RETRY)
        identity_ask(&renewal->proof, renewal->handle, source_topic(worker->source), worker->answers_fd, now_us);
    else
        refused(worker, &err);
}

/* Without a SIGHUP: only what files hold may be another, for the settings may be half edited. */
static void look_for_secrets(struct worker *worker, int64_t now_us)
{
    struct error err = {0};
    worker->renewal.looked_us = now_us;
    struct settings *fresh = settings_load_again(worker->settings, &err);
    if (!fresh)
        return; /* a SIGHUP would say so */
    if (settings_is_written_same_kafka(worker->settings, fresh))
        worker_renew_begin(worker, fresh, now_us);
    else
        settings_free(fresh);
}

void worker_renew_look(struct worker *worker, int64_t now_us)
{
    struct renewal *renewal = &worker->renewal;
    if (renewal->handle && !renewal->is_proven)
        look_at_proof(worker, now_us);
    if (!renewal->handle && worker->lost_us != 0 && now_us - worker->lost_us > CLOCK_SECOND_US &&
        now_us - renewal->looked_us > LOOK_AGAIN_US)
        look_for_secrets(worker, now_us);
}

/* Nothing of the old handle may outlive it: messages, queues, what was asked. */
static void let_go(struct worker *worker)
{
    batches_drop(&worker->batches, worker->is_open);
    identity_reset(&worker->identity);
    retention_reset(&worker->retention);
    assignment_let_go(&worker->assignment);
    until_end_let_go(&worker->until_end);
    worker->lost_us = 0;
    worker_refusal_forget(worker, clock_now_us());
    outage_over(&worker->kafka_outage, clock_now_us());
}

bool worker_renew(struct worker *worker)
{
    struct renewal *renewal = &worker->renewal;
    struct error err = {0};
    if (!renewal->is_proven)
        return false;
    if (worker->reports_due)
        source_report_positions(worker->source);
    worker->reports_due = false;
    let_go(worker);
    settings_swap_kafka(worker->settings, renewal->fresh);
    worker->assignment.rejoin = !source_renew(worker->source, renewal->handle, &err);
    if (worker->assignment.rejoin)
        log_warn_because(&err, "cannot join the group, trying again", NULL);
    renewal->handle = NULL;
    give_up(worker);
    log_info("the new Kafka client has logged in and takes over", "topic=%s", source_topic(worker->source));
    return true;
}
