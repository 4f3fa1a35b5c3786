/* dlq_replay.c - see dlq.h.
 *
 * A page of dead letters is published and waited for, then the acknowledged ones are marked in one statement. Dying in between
 * sends a page twice, which is harmless: the bytes carry the event's id, and the worker counts the second copy as a duplicate (or
 * buries it again). Marking first would lose what was not sent.
 */
#include "dlq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kafka.h"
#include "postgres.h"
#include "settings.h"

enum { PAGE = 200, DELIVERY_MS = 30000 };
#define QUERY_US INT64_C(60000000)

extern const char dlq_next_sql[];

static const struct kafka_forced forced[] = {
    {"enable.idempotence", "true"}, {"acks", "all"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
static const struct kafka_forced defaults[] = {
    {"compression.type", "lz4"}, {"message.max.bytes", "4194304"}, {"message.timeout.ms", "25000"}, {NULL, NULL}};

static void note_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    (void)producer;
    (void)opaque;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
}

static rd_kafka_t *open_producer(const struct settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = kafka_conf(settings, defaults, forced, err);
    if (!conf) {
        return NULL;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, note_delivery);
    return kafka_open(RD_KAFKA_PRODUCER, conf, err);
}

/* Bytes of a bytea column; NULL for SQL's NULL (a tombstone has no value, most messages have a key). PQfreemem it. */
static unsigned char *read_bytes(const PGresult *page, int row, int column, size_t *length)
{
    *length = 0;
    if (PQgetisnull(page, row, column)) {
        return NULL;
    }
    return PQunescapeBytea((const unsigned char *)PQgetvalue(page, row, column), length);
}

static bool publish(rd_kafka_t *producer, const char *topic, const PGresult *page, int row, rd_kafka_resp_err_t *fate,
                    struct error *err)
{
    size_t key_length, value_length;
    unsigned char *key = read_bytes(page, row, 2, &key_length), *value = read_bytes(page, row, 3, &value_length);
    *fate = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    const rd_kafka_resp_err_t code =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE(value, value_length),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(fate), RD_KAFKA_V_END);
    PQfreemem(key);
    PQfreemem(value);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(err, code, "publishing a dead letter");
}

/* Marks those of the page that were acknowledged. */
static bool mark(PGconn *conn, const struct dlq_choice *choice, const PGresult *page, const rd_kafka_resp_err_t *fates,
                 struct dlq_replay *replay, struct error *err)
{
    char *partitions = NULL, *offsets = NULL;
    size_t length;
    FILE *partition_list = open_memstream(&partitions, &length), *offset_list = open_memstream(&offsets, &length);
    bool is_marked = false;
    if (!partition_list || !offset_list) {
        error_set(err, ERROR_RETRY, "out of memory");
    }
    int64_t acknowledged = 0;
    for (int row = 0; partition_list && offset_list && row < PQntuples(page); row++) {
        if (fates[row] != RD_KAFKA_RESP_ERR_NO_ERROR) {
            continue;
        }
        fprintf(partition_list, "%c%s", acknowledged ? ',' : '{', PQgetvalue(page, row, 0));
        fprintf(offset_list, "%c%s", acknowledged ? ',' : '{', PQgetvalue(page, row, 1));
        acknowledged++;
    }
    const bool listed = partition_list && fputs(acknowledged ? "}" : "{}", partition_list) >= 0 && fclose(partition_list) == 0;
    if (offset_list && fputs(acknowledged ? "}" : "{}", offset_list) >= 0 && fclose(offset_list) == 0 && listed) {
        const char *values[] = {choice->topic, partitions, offsets};
        PGresult *result = postgres_query_params(
            conn,
            "UPDATE tallymill.dead_letters d SET replayed_at = clock_timestamp() FROM unnest($2::integer[], $3::bigint[]) "
            "AS p (topic_partition, kafka_offset) WHERE d.topic = $1 AND d.topic_partition = p.topic_partition "
            "AND d.kafka_offset = p.kafka_offset",
            3, values, QUERY_US, err);
        is_marked = result != NULL;
        PQclear(result);
    }
    free(partitions);
    free(offsets);
    replay->sent += acknowledged;
    return is_marked;
}

static bool replay_page(PGconn *conn, rd_kafka_t *producer, const struct dlq_choice *choice, const PGresult *page,
                        struct dlq_replay *replay, struct error *err)
{
    rd_kafka_resp_err_t fates[PAGE];
    const int count = PQntuples(page);
    int published = 0;
    struct error refused = {.kind = ERROR_NONE};
    for (int row = 0; row < count; row++) {
        fates[row] = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    }
    while (published < count && publish(producer, choice->topic, page, published, &fates[published], &refused)) {
        published++;
    }
    rd_kafka_flush(producer, DELIVERY_MS);
    if (rd_kafka_outq_len(producer) > 0) { /* never leave a delivery report behind that points to this frame */
        rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(producer, DELIVERY_MS);
    }
    for (int row = 0; row < published && refused.kind == ERROR_NONE; row++) {
        if (fates[row] != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_error(&refused, fates[row], "publishing a dead letter");
            error_wrap(&refused, "topic partition %s, offset %s", PQgetvalue(page, row, 0), PQgetvalue(page, row, 1));
        }
    }
    if (!mark(conn, choice, page, fates, replay, err)) {
        return false;
    }
    if (refused.kind != ERROR_NONE) {
        *err = refused;
        replay->failed++;
    }
    return refused.kind == ERROR_NONE;
}

/* The database's clock, which dates the dead letters. */
static bool read_start(PGconn *conn, char *start, size_t size, struct error *err)
{
    PGresult *result = postgres_query(conn, "SELECT clock_timestamp()", QUERY_US, err);
    if (result) {
        snprintf(start, size, "%s", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return result != NULL;
}

bool dlq_replay(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice, struct dlq_replay *replay,
                struct error *err)
{
    char start[64], partition[24] = "-1", offset[24] = "-1";
    rd_kafka_t *producer = open_producer(settings, err);
    int topic_partitions;
    bool is_done = producer && kafka_topic_partitions(producer, choice->topic, DELIVERY_MS / 3, &topic_partitions, err) &&
                   read_start(conn, start, sizeof start, err);
    for (bool has_more = true; is_done && has_more;) { /* ends: the place moves on among what was dead at the start */
        const char *values[] = {
            choice->topic, choice->reason, choice->topic_partition, choice->offset, choice->with_replayed ? "t" : "f", partition,
            offset,        start};
        PGresult *page = postgres_query_params(conn, dlq_next_sql, 8, values, QUERY_US, err);
        const int rows = page ? PQntuples(page) : 0;
        is_done = page && (rows == 0 || replay_page(conn, producer, choice, page, replay, err));
        if (rows > 0) {
            snprintf(partition, sizeof partition, "%s", PQgetvalue(page, rows - 1, 0));
            snprintf(offset, sizeof offset, "%s", PQgetvalue(page, rows - 1, 1));
        }
        has_more = rows == PAGE;
        PQclear(page);
    }
    if (producer) {
        rd_kafka_destroy(producer);
    }
    return is_done;
}
