/* source.c - see source.h.
 *
 * Invariant: messages of a topic partition leave source_poll in order, from where source_assign() or source_seek() set it, and only
 * while it is read. Offsets are not compared here: who takes a message (worker_read.c) drops what lies before the expected one, an
 * anchor above all, and counts a hole of Kafka's that lies before it. It rests on properties that source_conf.c forces.
 *
 * Rejected: taking messages many at a time (rd_kafka_consume_batch_queue). What was taken and not yet looked at would have to be
 * thrown away by hand at each assignment and each stop of a topic partition; librdkafka does that for what is still in its queue. A
 * poll a message costs 0.23 us.
 */
#include "consumer/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/error.h"
#include "common/kafka.h"
#include "common/kafka_rights.h"
#include "common/log.h"
#include "common/settings.h"
#include "consumer/leave.h"
#include "consumer/source_conf.h"
#include "consumer/source_refusal.h"
#include "consumer/source_statistics.h"
#include "consumer/start.h"

enum { ASK_TIMEOUT_MS = 5000, WHY_BYTES = 256 /* of a text of librdkafka */ };

struct source {
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;
    int wakeup_fd;
    const char *topic;
    struct source_topic_partition *topic_partitions;
    int topic_partition_count;
    struct claim *wanted;
    int wanted_count;
    bool assign_pending, revoke_pending, is_closing, is_paused;
    bool was_lost; /* every broker: whoever comes back may be another cluster */
    rd_kafka_resp_err_t callback_error;
    struct source_refusals refusals;
    struct source_statistics statistics;
};

static void note_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);

static void note_error(rd_kafka_t *handle, int code, const char *reason, void *opaque)
{
    struct source *source = opaque;
    char text[LOG_TEXT_BYTES];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char why[WHY_BYTES];
        source->callback_error = rd_kafka_fatal_error(handle, why, sizeof why);
        log_error("Kafka ended this member", "error=\"%s\"", log_text(text, why));
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) { /* again and again, while it lasts: the worker tells of it */
        source->was_lost = true;
        log_debug("Kafka client", "code=%s error=\"%s\"", rd_kafka_err2name((rd_kafka_resp_err_t)code), log_text(text, reason));
    } else {
        source_refusal_called(&source->refusals, (rd_kafka_resp_err_t)code, reason);
    }
}

static int note_statistics(rd_kafka_t *handle, char *json, size_t length, void *opaque)
{
    struct source *source = opaque;
    (void)handle;
    source_statistics_read(&source->statistics, json, length);
    return 0; /* the text stays librdkafka's */
}

static rd_kafka_conf_t *make_conf(struct source *source, const struct settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = source_conf(settings, err);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_rebalance_cb(conf, note_rebalance);
    rd_kafka_conf_set_error_cb(conf, note_error);
    rd_kafka_conf_set_stats_cb(conf, note_statistics);
    return conf;
}

static bool subscribe(struct source *source, struct error *err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, source->topic, RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(source->handle, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, "subscribing to the topic");
}

rd_kafka_t *source_make_handle(struct source *source, const struct settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = make_conf(source, settings, err);
    return conf ? kafka_open(RD_KAFKA_CONSUMER, conf, err) : NULL;
}

static void listen_to(struct source *source)
{
    static const uint64_t one = 1;
    rd_kafka_poll_set_consumer(source->handle);
    source->queue = rd_kafka_queue_get_consumer(source->handle);
    rd_kafka_queue_io_event_enable(source->queue, source->wakeup_fd, &one, sizeof one);
}

struct source *source_open(const struct settings *settings, struct error *err)
{
    struct source *source = calloc(1, sizeof *source);
    if (!source) {
        error_set(err, ERROR_RETRY, "no memory for the Kafka consumer");
        return NULL;
    }
    source->topic = settings_text(settings, "topics.events");
    source->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wakeup_fd < 0) {
        error_set(err, ERROR_RETRY, "eventfd: %s", strerror(errno));
        goto out;
    }
    if (!source_conf_check_topic(source->topic, err))
        goto out;
    source->handle = source_make_handle(source, settings, err);
    if (!source->handle)
        goto out;
    listen_to(source);
    int count;
    if (!kafka_topic_partitions(source->handle, source->topic, 2 * ASK_TIMEOUT_MS, &count, err)) {
        error_wrap(err, "kafka.bootstrap.servers = %s", source_conf_brokers(settings));
        goto out;
    }
    if (!source_may_read(source->handle, settings, err) || !subscribe(source, err))
        goto out;
    return source;
out:
    source_close(source, false);
    return NULL;
}

bool source_may_read(rd_kafka_t *handle, const struct settings *settings, struct error *err)
{
    const char *topic = settings_text(settings, "topics.events"), *group = settings_text(settings, "consumer.group");
    if ((kafka_rights_topic(handle, topic, RD_KAFKA_ACL_OPERATION_READ, ASK_TIMEOUT_MS, err) || err->kind == ERROR_RETRY) &&
        (kafka_rights_group(handle, group, RD_KAFKA_ACL_OPERATION_READ, ASK_TIMEOUT_MS, err) || err->kind == ERROR_RETRY)) {
        error_clear(err); /* who does not answer now is waited for in the loop */
        return true;
    }
    return false;
}

bool source_renew(struct source *source, rd_kafka_t *handle, struct error *err)
{
    source->is_closing = true;
    if (!leave_handle(source->handle, source->queue, source->topic, false))
        leave_aside(source->handle);
    source->is_closing = false;
    source->handle = handle;
    listen_to(source);
    source->topic_partition_count = source->wanted_count = 0;
    source->assign_pending = source->revoke_pending = source->is_paused = source->was_lost = false;
    source->callback_error = RD_KAFKA_RESP_ERR_NO_ERROR;
    source_refusal_forget(&source->refusals);
    return subscribe(source, err);
}

void source_close(struct source *source, bool leave)
{
    if (!source)
        return;
    source->is_closing = true;
    if (source->handle && (leave || source->topic_partition_count > 0))
        leave_tell(source->handle, source->topic, leave);
    if (source->handle)
        leave_handle(source->handle, source->queue, source->topic, leave);
    if (source->wakeup_fd >= 0)
        close(source->wakeup_fd);
    free(source->wanted);
    free(source->topic_partitions);
    free(source);
}

const char *source_topic(const struct source *source)
{
    return source->topic;
}

int source_fd(const struct source *source)
{
    return source->wakeup_fd;
}

static int by_topic_partition(const void *left, const void *right)
{
    const struct claim *a = left, *b = right;
    return (a->topic_partition > b->topic_partition) - (a->topic_partition < b->topic_partition);
}

static bool remember_wanted(struct source *source, const rd_kafka_topic_partition_list_t *list)
{
    struct claim *wanted = calloc((size_t)list->cnt + 1, sizeof *wanted);
    if (!wanted)
        return false;
    for (int i = 0; i < list->cnt; i++)
        wanted[i].topic_partition = list->elems[i].partition;
    qsort(wanted, (size_t)list->cnt, sizeof *wanted, by_topic_partition);
    free(source->wanted);
    source->wanted = wanted;
    source->wanted_count = list->cnt;
    return true;
}

/* Takes nothing of an assignment. An answer of NULL would be none: librdkafka would go on waiting for one, and never leave. */
static void decline(rd_kafka_t *handle)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_assign(handle, none);
    rd_kafka_topic_partition_list_destroy(none);
}

static void note_rebalance(rd_kafka_t *handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct source *source = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !source->is_closing && remember_wanted(source, list)) {
        source->assign_pending = true;
        source->revoke_pending = false;
    } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && !source->is_closing) {
        source->revoke_pending = true;
        source->assign_pending = false;
    } else {
        if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
            decline(handle);
        else
            rd_kafka_assign(handle, NULL);
        source->topic_partition_count = 0;
    }
}

const struct claim *source_wanted(const struct source *source, int *count)
{
    *count = source->wanted_count;
    return source->wanted;
}

struct source_topic_partition *source_topic_partitions(struct source *source, int *count)
{
    *count = source->topic_partition_count;
    return source->topic_partitions;
}

struct source_topic_partition *source_find(struct source *source, int32_t topic_partition)
{
    for (int i = 0; i < source->topic_partition_count; i++)
        if (source->topic_partitions[i].claim.topic_partition == topic_partition)
            return &source->topic_partitions[i];
    return NULL;
}

int64_t source_last_high(const struct source *source, int32_t topic_partition)
{
    int64_t low, high;
    const rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(source->handle, source->topic, topic_partition, &low, &high);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
}

const struct source_statistics *source_statistics(const struct source *source)
{
    return &source->statistics;
}

bool source_take_lost(struct source *source)
{
    const bool was_lost = source->was_lost;
    source->was_lost = false;
    return was_lost;
}

struct source_refusals *source_refusals(struct source *source)
{
    return &source->refusals;
}

bool source_was_fenced(const struct source *source)
{
    char why[WHY_BYTES];
    return rd_kafka_fatal_error(source->handle, why, sizeof why) == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

rd_kafka_t *source_handle(const struct source *source)
{
    return source->handle;
}

bool source_is_proving(const struct source_topic_partition *topic_partition)
{
    return topic_partition->anchors_met < topic_partition->anchor_count;
}

static int64_t reads_from(const struct source_topic_partition *topic_partition)
{
    return source_is_proving(topic_partition) ? topic_partition->anchors[topic_partition->anchors_met].offset
                                              : topic_partition->expected_offset;
}

bool source_is_read(const struct source_topic_partition *topic_partition)
{
    return !topic_partition->is_stopped && !topic_partition->is_waiting;
}

bool source_assign(struct source *source, const struct source_topic_partition *topic_partitions, int count, struct error *err)
{
    struct source_topic_partition *copy = malloc(((size_t)count + 1) * sizeof *copy);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    if (!copy) {
        rd_kafka_topic_partition_list_destroy(list);
        return error_set(err, ERROR_RETRY, "no memory for %d topic partitions", count);
    }
    if (count > 0)
        memcpy(copy, topic_partitions, (size_t)count * sizeof *copy);
    for (int i = 0; i < count; i++) {
        copy[i].end_offset = -1;
        if (source_is_read(&copy[i]))
            rd_kafka_topic_partition_list_add(list, source->topic, copy[i].claim.topic_partition)->offset = reads_from(&copy[i]);
    }
    const rd_kafka_resp_err_t code = rd_kafka_assign(source->handle, list);
    rd_kafka_resume_partitions(source->handle, list); /* a pause by the application, of one or of all, outlives the assignment */
    rd_kafka_topic_partition_list_destroy(list);
    free(source->topic_partitions);
    source->topic_partitions = copy;
    source->topic_partition_count = count;
    source->is_paused = false;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_error(err, code, "taking the assignment");
    source->assign_pending = false;
    return true;
}

void source_unassign(struct source *source)
{
    rd_kafka_assign(source->handle, NULL);
    source->topic_partition_count = source->wanted_count = 0; /* a reconnect must not claim again what the group has taken away */
    source->revoke_pending = false;
    source->is_paused = false;
}

void source_rejoin(struct source *source)
{
    struct error err;
    if (!subscribe(source, &err))
        log_warn_because(&err, "cannot rejoin the group", NULL);
}

static rd_kafka_topic_partition_list_t *list_read(const struct source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(source->topic_partition_count);
    for (int i = 0; i < source->topic_partition_count; i++)
        if (source_is_read(&source->topic_partitions[i]))
            rd_kafka_topic_partition_list_add(list, source->topic, source->topic_partitions[i].claim.topic_partition);
    return list;
}

void source_pause(struct source *source, bool pause)
{
    if (source->is_paused == pause)
        return;
    rd_kafka_topic_partition_list_t *list = list_read(source);
    if (pause)
        rd_kafka_pause_partitions(source->handle, list);
    else
        rd_kafka_resume_partitions(source->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
    source->is_paused = pause;
}

bool source_is_paused(const struct source *source)
{
    return source->is_paused;
}

static void pause_one(struct source *source, int32_t topic_partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->topic, topic_partition);
    rd_kafka_pause_partitions(source->handle, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void source_seek(struct source *source, const struct source_topic_partition *topic_partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->topic, topic_partition->claim.topic_partition)->offset =
        reads_from(topic_partition);
    rd_kafka_error_destroy(
        rd_kafka_seek_partitions(source->handle, list, 0)); /* without waiting: what was fetched is stale at once */
    rd_kafka_topic_partition_list_destroy(list);
}

void source_stop(struct source *source, struct source_topic_partition *topic_partition, const char *because)
{
    topic_partition->is_stopped = true;
    topic_partition->stopped_because = because;
    pause_one(source, topic_partition->claim.topic_partition);
}

void source_forget(struct source *source, int32_t topic_partition)
{
    struct source_topic_partition *forgotten = source_find(source, topic_partition);
    if (!forgotten)
        return;
    pause_one(source, topic_partition);
    *forgotten = source->topic_partitions[--source->topic_partition_count];
}

void source_report_positions(struct source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(source->topic_partition_count);
    for (int i = 0; i < source->topic_partition_count; i++)
        rd_kafka_topic_partition_list_add(list, source->topic, source->topic_partitions[i].claim.topic_partition)->offset =
            source->topic_partitions[i].claim.next_offset;
    if (list->cnt > 0)
        rd_kafka_commit(source->handle, list, 1); /* asynchronous; only advice, so that its failure means nothing */
    rd_kafka_topic_partition_list_destroy(list);
}

/* An error of the whole client; sets err. Asked for, too: a subscription renewed just then throws the event away that would have
 * told. Without a fatal error that costs one atomic read. */
static bool is_ended(struct source *source, bool is_dry, struct error *err)
{
    char why[WHY_BYTES];
    if (is_dry && source->callback_error == RD_KAFKA_RESP_ERR_NO_ERROR)
        source->callback_error = rd_kafka_fatal_error(source->handle, why, sizeof why);
    if (source->callback_error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    error_set(err, ERROR_FATAL, "Kafka ended this member (%s): is another one named like it (consumer.instance)?",
              rd_kafka_err2name(source->callback_error));
    return true;
}

static enum source_event judge(struct source *source, const rd_kafka_message_t *message,
                               struct source_topic_partition **topic_partition, int64_t *end_offset, struct error *err)
{
    *topic_partition = message->rkt ? source_find(source, message->partition) : NULL;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return source_error_take(source, message, *topic_partition, end_offset, err);
    return *topic_partition && source_is_read(*topic_partition) ? SOURCE_MESSAGE : SOURCE_NOTHING;
}

static void wake_up(struct source *source)
{
    static const uint64_t one = 1;
    const ssize_t written = write(source->wakeup_fd, &one, sizeof one);
    (void)written;
}

/* The group comes first: what was taken behind its call is dropped, and comes again from where the answer says. */
enum source_event source_poll(struct source *source, rd_kafka_message_t **message, struct source_topic_partition **topic_partition,
                              int64_t *end_offset, struct error *err)
{
    rd_kafka_message_t *taken = rd_kafka_consumer_poll(source->handle, 0);
    enum source_event event = SOURCE_NOTHING;
    const bool is_over = is_ended(source, !taken, err);
    if (taken && !is_over)
        event = judge(source, taken, topic_partition, end_offset, err);
    if (is_over)
        event = SOURCE_FATAL;
    else if (source->revoke_pending)
        event = SOURCE_REVOKE;
    else if (source->assign_pending)
        event = SOURCE_ASSIGN;
    else if (taken && event == SOURCE_NOTHING)
        wake_up(source); /* keep "nothing" for a dry queue: there may be more behind what was passed over */
    if (event == SOURCE_MESSAGE)
        *message = taken;
    else if (taken)
        rd_kafka_message_destroy(taken);
    return event;
}

void source_clear_wakeup(struct source *source)
{
    uint64_t count;
    const ssize_t got = read(source->wakeup_fd, &count, sizeof count);
    (void)got;
}
