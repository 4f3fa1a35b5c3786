/* backlog.c - see backlog.h.
 *
 * How long a message has waited is asked of the message itself: it is read where it stands. Rejected: offsets by time
 * (ListOffsets), which can only tell whether a message is older than an age that was thought of before (which is all that
 * backlog_mark_older() needs); and the time of the last commit, which is old wherever nothing was sent.
 */
#include "operator/backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "operator/answer.h"
#include "operator/topic.h"
#include "operator/topic_peek.h"

/* The rows of this topic, into logs that have room for them. */
static void take_positions(const PGresult *positions, const char *topic, struct backlog *backlog)
{
    for (int row = 0; row < PQntuples(positions); row++) {
        const int64_t number = answer_int(positions, row, "topic_partition");
        if (strcmp(answer_text(positions, row, "topic"), topic) == 0 && number < backlog->count) {
            struct backlog_log *log = &backlog->logs[number];
            log->is_claimed = true;
            log->owner = answer_text(positions, row, "owner");
            log->epoch = answer_int(positions, row, "epoch");
            log->next_offset = answer_int(positions, row, "next_offset");
            log->commit_age_us = answer_is_null(positions, row, "commit_age_us") ? -1 : answer_int(positions, row, "commit_age_us");
        }
    }
}

/* How many topic partitions the ledger knows of this topic. */
static int count_positions(const PGresult *positions, const char *topic)
{
    int64_t count = 0;
    for (int row = 0; row < PQntuples(positions); row++) {
        const int64_t number = answer_int(positions, row, "topic_partition");
        if (strcmp(answer_text(positions, row, "topic"), topic) == 0 && number >= count) {
            count = number + 1;
        }
    }
    return (int)count;
}

static void compare(struct backlog_log *log, const struct topic_log *ends)
{
    log->is_in_kafka = true;
    log->low = ends->low;
    log->high = ends->high;
    log->next_offset = log->is_claimed ? log->next_offset : ends->low;
    log->lost = ends->low > log->next_offset ? ends->low - log->next_offset : 0;
    const int64_t from = log->next_offset + log->lost;
    log->waiting = ends->high > from ? ends->high - from : 0;
}

/* Where places are read: which log each is of. */
struct asked {
    struct backlog *backlog;
    const struct topic_place *places;
};

static void note_time(void *context, int place, const rd_kafka_message_t *message)
{
    const struct asked *asked = context;
    rd_kafka_timestamp_type_t type;
    const int64_t ms = message ? rd_kafka_message_timestamp(message, &type) : -1;
    asked->backlog->logs[asked->places[place].topic_partition].oldest_us = ms >= 0 ? ms * 1000 : -1;
}

static bool ask_times(struct backlog *backlog, rd_kafka_t *client, const char *topic, int timeout_ms, struct error *err)
{
    struct topic_place *places = calloc((size_t)backlog->count + 1, sizeof *places);
    int count = 0;
    if (!places) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    for (int i = 0; i < backlog->count; i++) {
        const struct backlog_log *log = &backlog->logs[i];
        if (log->waiting > 0) {
            places[count++] = (struct topic_place){.topic_partition = i, .offset = log->next_offset + log->lost};
        }
    }
    struct asked asked = {backlog, places};
    const bool is_read = count == 0 || topic_peek(client, topic, places, count, timeout_ms, note_time, &asked, err);
    free(places);
    return is_read;
}

/* The books know the topic, so making it is not enough: workers would find another log under its name. */
static bool tell_gone(const char *topic, struct error *err)
{
    error_clear(err);
    return error_set(err, ERROR_USAGE,
                     "topic %s does not exist in this Kafka cluster, and the books have positions of it; another cluster is meant: "
                     "correct kafka.bootstrap.servers; it was deleted: tallymill topic retire %s --yes closes its books, or, for a "
                     "new one of that name, tallymill migrate makes it and then tallymill topic renew %s --yes begins its books",
                     topic, topic, topic);
}

bool backlog_read(const PGresult *positions, rd_kafka_t *client, const char *topic, int timeout_ms, bool with_age,
                  struct backlog *backlog, bool *is_absent, struct error *err)
{
    struct topic ends = {0};
    *backlog = (struct backlog){0};
    const bool is_told = topic_read(client, topic, timeout_ms, &ends, err);
    if (is_absent) {
        *is_absent = ends.is_absent;
    }
    const int known = count_positions(positions, topic);
    if (!is_told) {
        const bool is_gone = ends.is_absent && known > 0;
        topic_free(&ends);
        return is_gone ? tell_gone(topic, err) : false;
    }
    backlog->asked_us = clock_wall_us();
    backlog->count = known > ends.count ? known : ends.count;
    backlog->logs = calloc((size_t)backlog->count + 1, sizeof *backlog->logs);
    if (!backlog->logs) {
        topic_free(&ends);
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    for (int i = 0; i < backlog->count; i++) {
        backlog->logs[i] = (struct backlog_log){.owner = "", .oldest_us = -1, .commit_age_us = -1};
    }
    take_positions(positions, topic, backlog);
    for (int i = 0; i < ends.count; i++) {
        compare(&backlog->logs[i], &ends.logs[i]);
        backlog->waiting += backlog->logs[i].waiting;
        backlog->lost += backlog->logs[i].lost;
    }
    snprintf(backlog->topic_id, sizeof backlog->topic_id, "%s", ends.id);
    topic_free(&ends);
    if (with_age && !ask_times(backlog, client, topic, timeout_ms, err)) {
        backlog_free(backlog);
        return false;
    }
    return true;
}

void backlog_free(struct backlog *backlog)
{
    free(backlog->logs);
    *backlog = (struct backlog){0};
}

int64_t backlog_age_us(const struct backlog *backlog, int topic_partition)
{
    const struct backlog_log *log = &backlog->logs[topic_partition];
    if (log->waiting == 0) {
        return 0;
    }
    return log->oldest_us < 0 ? -1 : log->oldest_us < backlog->asked_us ? backlog->asked_us - log->oldest_us : 0;
}

int64_t backlog_longest_us(const struct backlog *backlog)
{
    int64_t longest_us = -1;
    for (int i = 0; i < backlog->count; i++) {
        const int64_t age_us = backlog_age_us(backlog, i);
        longest_us = age_us > longest_us ? age_us : longest_us;
    }
    return longest_us;
}

bool backlog_mark_older(struct backlog *backlog, rd_kafka_t *client, const char *topic, int64_t age_us, int timeout_ms,
                        struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(backlog->count);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < backlog->count; i++) {
        backlog->logs[i].is_older = false;
        if (backlog->logs[i].waiting > 0) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = (backlog->asked_us - age_us) / 1000;
        }
    }
    if (list->cnt > 0) {
        code = rd_kafka_offsets_for_times(client, list, timeout_ms);
    }
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *told = &list->elems[i];
        struct backlog_log *log = &backlog->logs[told->partition];
        /* The first message of that time or later; below 0: all are older. */
        log->is_older =
            told->err == RD_KAFKA_RESP_ERR_NO_ERROR && (told->offset < 0 || told->offset > log->next_offset + log->lost);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, "asking for offsets by time");
}
