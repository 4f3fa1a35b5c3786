/* worker_refusal.c - what Kafka refuses a running worker, and no waiting mends: the right to read the topic or to use the group, a
 * place in the group.
 *
 * librdkafka says a refused group again every other second, and a refused topic once. Both are one line here, with what grants it,
 * and again after ten minutes. That it is over nobody says: so Kafka is asked for our rights, every few seconds while something is
 * refused and no batch is under way. A place in the group is proven by an assignment alone.
 *
 * Rejected: to end, as when Postgres takes a right away. The other topic partitions of a worker that lacks one right, and its
 * batch, are no less good, and who gives the right back expects that it goes on.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka_rights.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"
#include "consumer/worker_state.h"

#define ASK_EVERY_US (5 * CLOCK_SECOND_US)

enum { ANSWER_MS = 1000 };

static const char *const messages[SOURCE_REFUSED_KINDS][2] = {
    [SOURCE_REFUSED_TOPIC] = {"Kafka refuses this worker the topic: trying until it is let in again",
                              "Kafka lets this worker read the topic again"},
    [SOURCE_REFUSED_GROUP] = {"Kafka refuses this worker the consumer group: trying until it is let in again",
                              "Kafka lets this worker into the consumer group again"},
};

void worker_refusal_init(struct worker *worker)
{
    for (int i = 0; i < SOURCE_REFUSED_KINDS; i++)
        worker->refusals[i].outage = (struct outage){.away = messages[i][0], .back = messages[i][1]};
}

static bool is_on(const struct refusal *refusal)
{
    return refusal->outage.since_us != 0;
}

static bool is_of_rights(const struct refusal *refusal)
{
    return refusal->code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           refusal->code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

bool worker_is_refused(const struct worker *worker)
{
    return is_on(&worker->refusals[SOURCE_REFUSED_TOPIC]) || is_on(&worker->refusals[SOURCE_REFUSED_GROUP]);
}

/* What to do about a group's refusal that is no matter of rights. */
static const char *remedy_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED: return ": run fewer workers, or raise the brokers' group.max.size";
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL: return ": another program is in this group (consumer.group): end it";
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
        return ": set kafka.session.timeout.ms between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms";
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID: return ": consumer.group is no name that the brokers take";
    default: return "";
    }
}

static const char *group_of(const struct worker *worker)
{
    return settings_text(worker->settings, "consumer.group");
}

static void explain(const struct worker *worker, const struct source_refusal *met, struct error *why)
{
    rd_kafka_t *handle = source_handle(worker->source);
    if (met->code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        kafka_rights_error(handle, "topic", source_topic(worker->source), RD_KAFKA_ACL_OPERATION_READ, why);
    else if (met->code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        kafka_rights_error(handle, "group", group_of(worker), RD_KAFKA_ACL_OPERATION_READ, why);
    else
        error_set(why, ERROR_USAGE, "consumer group %s: %s (%s)%s", group_of(worker), met->said, rd_kafka_err2name(met->code),
                  remedy_of(met->code));
}

static void note(struct worker *worker, enum source_refused kind, const struct error *why, int64_t now_us)
{
    struct refusal *refusal = &worker->refusals[kind];
    if (strcmp(refusal->why.text, why->text) != 0)
        refusal->outage.told_us = 0; /* for another reason, which is told at once */
    refusal->why = *why;
    refusal->met_us = now_us;
    outage_note(&refusal->outage, why, now_us);
    service_trouble(why);
}

static void end(struct worker *worker, enum source_refused kind, int64_t now_us)
{
    struct source_refusal stale;
    source_refusal_take(source_refusals(worker->source), kind, &stale);
    if (is_on(&worker->refusals[kind]))
        outage_over(&worker->refusals[kind].outage, now_us);
    worker->refusals[kind].why.text[0] = '\0';
}

void worker_refusal_joined(struct worker *worker, int64_t now_us)
{
    end(worker, SOURCE_REFUSED_GROUP, now_us);
}

void worker_refusal_forget(struct worker *worker, int64_t now_us)
{
    for (int i = 0; i < SOURCE_REFUSED_KINDS; i++)
        end(worker, i, now_us);
}

bool worker_refusal_of_topic(struct worker *worker, const struct error *why, int64_t now_us)
{
    const struct identity *identity = &worker->identity;
    if (!identity->is_forbidden || strcmp(identity->error.text, why->text) != 0)
        return false;
    worker->refusals[SOURCE_REFUSED_TOPIC].code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    note(worker, SOURCE_REFUSED_TOPIC, &identity->error, now_us);
    return true;
}

/* Whether Kafka grants it again, as far as it says. */
static bool is_granted(struct worker *worker, enum source_refused kind, struct error *err)
{
    rd_kafka_t *handle = source_handle(worker->source);
    return kind == SOURCE_REFUSED_TOPIC
               ? kafka_rights_topic(handle, source_topic(worker->source), RD_KAFKA_ACL_OPERATION_READ, ANSWER_MS, err)
               : kafka_rights_group(handle, group_of(worker), RD_KAFKA_ACL_OPERATION_READ, ANSWER_MS, err);
}

/* A place in the group is given by an assignment; who has one, and was not refused since, is in. */
static bool is_in_group(struct worker *worker)
{
    int count;
    source_topic_partitions(worker->source, &count);
    return count > 0;
}

static void ask(struct worker *worker, enum source_refused kind, int64_t now_us)
{
    struct error err = {0};
    struct refusal *refusal = &worker->refusals[kind];
    const bool is_good = is_of_rights(refusal) ? is_granted(worker, kind, &err) : is_in_group(worker);
    if (is_good && now_us - refusal->met_us >= ASK_EVERY_US) { /* brokers before 2.3 say yes to all, and go on refusing */
        end(worker, kind, now_us);
    } else if (!is_good) {
        const struct error why = refusal->why;
        note(worker, kind, &why, now_us);
    }
}

void worker_refusal_look(struct worker *worker, int64_t now_us)
{
    char text[ERROR_TEXT_BYTES + 64];
    for (int i = 0; i < SOURCE_REFUSED_KINDS; i++) {
        struct source_refusal met;
        struct error why;
        if (!source_refusal_take(source_refusals(worker->source), i, &met))
            continue;
        explain(worker, &met, &why);
        worker->refusals[i].code = met.code;
        note(worker, i, &why, now_us);
    }
    if (worker_is_refused(worker) && !worker->is_open && worker->lost_us == 0 &&
        now_us - worker->refusals_asked_us >= ASK_EVERY_US) {
        worker->refusals_asked_us = now_us;
        for (int i = 0; i < SOURCE_REFUSED_KINDS; i++)
            if (is_on(&worker->refusals[i]))
                ask(worker, i, now_us);
    }
    worker_trouble_refused(worker, worker_is_refused(worker) ? worker_refusal_text(worker, text, sizeof text) : NULL, now_us);
}

const char *worker_refusal_text(const struct worker *worker, char *text, size_t size)
{
    const struct refusal *topic = &worker->refusals[SOURCE_REFUSED_TOPIC], *group = &worker->refusals[SOURCE_REFUSED_GROUP];
    const struct refusal *told = is_on(topic) ? topic : group;
    text[0] = '\0';
    if (is_on(told))
        snprintf(text, size, "%s: %s",
                 told == topic        ? "Kafka does not let this login read the topic"
                 : is_of_rights(told) ? "Kafka does not let this login into the consumer group"
                                      : "Kafka does not let this worker into the consumer group",
                 told->why.text);
    return text;
}
