/* dlq_replay.c - see dlq.h.
 *
 * A page of dead letters is published and waited for, then the acknowledged ones are marked in one statement. Dying in between
 * sends a page twice, which is harmless: the bytes carry the event's id, and the worker counts the second copy as a duplicate (or
 * buries it again). Marking first would lose what was not sent. A page is bounded in bytes as well as in number.
 */
#include "operator/dlq.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/kafka.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/dlq_places.h"

/* A page is held as text, as bytes and by the client: about five times its bytes. */
enum { PAGE = 200, PAGE_BYTES = 2 << 20, DELIVERY_MS = 30000 };

extern const char dlq_next_sql[], dlq_dry_run_sql[];

struct dlq_sending {
    rd_kafka_t *producer;
    const struct dlq_choice *choice;
    int64_t max_bytes; /* key and value that the client takes */
};

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

/* Notes those of the page that were acknowledged. */
static bool mark(PGconn *conn, const struct dlq_choice *choice, const PGresult *page, const rd_kafka_resp_err_t *fates,
                 struct dlq_replay *replay, struct error *err)
{
    struct dlq_places places;
    dlq_places_init(&places);
    for (int row = 0; row < PQntuples(page); row++) {
        if (fates[row] == RD_KAFKA_RESP_ERR_NO_ERROR) {
            dlq_places_add(&places, PQgetvalue(page, row, 0), PQgetvalue(page, row, 1));
        }
    }
    bool is_marked = dlq_places_end(&places, err);
    if (is_marked && places.count > 0) {
        const char *values[] = {choice->topic, places.topic_partitions.bytes, places.offsets.bytes};
        PGresult *result = postgres_query_params(
            conn,
            "WITH marked AS (UPDATE tallymill.dead_letters d SET replayed_at = clock_timestamp() FROM unnest($2::integer[], "
            "$3::bigint[]) "
            "AS p (topic_partition, kafka_offset) WHERE d.topic = $1 AND d.topic_partition = p.topic_partition "
            "AND d.kafka_offset = p.kafka_offset RETURNING d.replayed_at) "
            "SELECT tallymill.kept_out('tallymill.dead_letters', cardinality($2::integer[]), m.count) "
            "FROM (SELECT count(replayed_at) FROM marked) m WHERE m.count <> cardinality($2::integer[])",
            3, values, DLQ_QUERY_US, err);
        is_marked = result != NULL;
        PQclear(result);
    }
    replay->sent += (int64_t)places.count;
    dlq_places_reset(&places);
    return is_marked;
}

/* One that is too large for Kafka: it waits where it is. */
static void leave(const PGresult *page, int row, int64_t max_bytes, struct dlq_replay *replay)
{
    const char *topic_partition = PQgetvalue(page, row, 0), *offset = PQgetvalue(page, row, 1);
    const int64_t bytes = strtoll(PQgetvalue(page, row, 4), NULL, 10);
    replay->left++;
    fprintf(stderr,
            "tallymill dlq: topic partition %s, offset %s: left, for its %" PRId64
            " bytes are more than %s takes: raise %s, or settle it with "
            "tallymill dlq discard %s:%s --yes\n",
            topic_partition, offset, bytes, bytes > max_bytes ? "kafka.message.max.bytes" : "the topic",
            bytes > max_bytes ? "it and the topic's max.message.bytes" : "the topic's max.message.bytes", topic_partition, offset);
    if (replay->left_list) {
        json_array_append_new(replay->left_list,
                              json_pack("{s:I, s:I, s:I}", "topic_partition", (json_int_t)strtoll(topic_partition, NULL, 10),
                                        "offset", (json_int_t)strtoll(offset, NULL, 10), "bytes", (json_int_t)bytes));
    }
}

/* Waits for the delivery reports of what was published. */
static void settle(rd_kafka_t *producer)
{
    rd_kafka_flush(producer, DELIVERY_MS);
    if (rd_kafka_outq_len(producer) > 0) { /* never leave a delivery report behind that points to this frame */
        rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(producer, DELIVERY_MS);
    }
}

static bool is_too_large(rd_kafka_resp_err_t fate)
{
    return fate == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
}

/* A broker refuses a request for one message that is too large in it: its neighbours are sent once more, each alone. */
static bool send_alone(struct dlq_sending *sending, const PGresult *page, rd_kafka_resp_err_t *fates, int count, struct error *err)
{
    for (int row = 0; row < count; row++) {
        if (!is_too_large(fates[row]) || strtoll(PQgetvalue(page, row, 4), NULL, 10) > sending->max_bytes) {
            continue;
        }
        if (!publish(sending->producer, sending->choice->target, page, row, &fates[row], err)) {
            return false;
        }
        settle(sending->producer);
    }
    return true;
}

/* Publishes what the page holds, and waits for what came of each. */
static bool send_page(struct dlq_sending *sending, const PGresult *page, rd_kafka_resp_err_t *fates, int count, struct error *err)
{
    bool is_taken = true;
    for (int row = 0; row < count; row++) {
        fates[row] = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    }
    for (int row = 0; is_taken && row < count; row++) {
        if (strtoll(PQgetvalue(page, row, 4), NULL, 10) > sending->max_bytes) {
            fates[row] = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; /* its bytes were not even read */
        } else {
            is_taken = publish(sending->producer, sending->choice->target, page, row, &fates[row], err);
        }
    }
    settle(sending->producer);
    return is_taken && send_alone(sending, page, fates, count, err);
}

static bool replay_page(PGconn *conn, struct dlq_sending *sending, const PGresult *page, struct dlq_replay *replay,
                        struct error *err)
{
    rd_kafka_resp_err_t fates[PAGE];
    const int count = PQntuples(page);
    struct error refused = {.kind = ERROR_NONE};
    send_page(sending, page, fates, count, &refused);
    for (int row = 0; row < count; row++) {
        if (is_too_large(fates[row])) {
            leave(page, row, sending->max_bytes, replay);
        } else if (fates[row] != RD_KAFKA_RESP_ERR_NO_ERROR && refused.kind == ERROR_NONE) {
            kafka_error(&refused, fates[row], "publishing a dead letter");
            error_wrap(&refused, "topic partition %s, offset %s", PQgetvalue(page, row, 0), PQgetvalue(page, row, 1));
        }
    }
    if (!mark(conn, sending->choice, page, fates, replay, err)) {
        return false;
    }
    if (refused.kind != ERROR_NONE) {
        *err = refused;
    }
    return refused.kind == ERROR_NONE;
}

/* The database's clock, which dates the dead letters. */
static bool read_start(PGconn *conn, char *start, size_t size, struct error *err)
{
    PGresult *result = postgres_query(conn, "SELECT clock_timestamp()", DLQ_QUERY_US, err);
    if (result) {
        snprintf(start, size, "%s", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return result != NULL;
}

/* The page behind this place. */
static PGresult *next_page(PGconn *conn, const struct dlq_sending *sending, const char *partition, const char *offset,
                           const char *start, struct error *err)
{
    const struct dlq_choice *choice = sending->choice;
    char page_bytes[24], max_bytes[24];
    snprintf(page_bytes, sizeof page_bytes, "%d", PAGE_BYTES);
    snprintf(max_bytes, sizeof max_bytes, "%" PRId64, sending->max_bytes);
    const char *values[] = {choice->topic,
                            choice->reason,
                            choice->topic_partition,
                            choice->offset,
                            choice->with_replayed ? "t" : "f",
                            partition,
                            offset,
                            start,
                            page_bytes,
                            max_bytes,
                            choice->since,
                            choice->key,
                            choice->month};
    return postgres_query_params(conn, dlq_next_sql, sizeof values / sizeof *values, values, DLQ_QUERY_US, err);
}

static bool replay_all(PGconn *conn, struct dlq_sending *sending, struct dlq_replay *replay, struct error *err)
{
    char start[64], partition[24] = "-1", offset[24] = "-1";
    bool is_good = read_start(conn, start, sizeof start, err);
    for (bool has_more = true; is_good && has_more;) { /* ends: the place moves on among what was dead at the start */
        PGresult *page = next_page(conn, sending, partition, offset, start, err);
        const int rows = page ? PQntuples(page) : 0;
        is_good = page && (rows == 0 || replay_page(conn, sending, page, replay, err));
        has_more = rows > 0;
        if (rows > 0) {
            snprintf(partition, sizeof partition, "%s", PQgetvalue(page, rows - 1, 0));
            snprintf(offset, sizeof offset, "%s", PQgetvalue(page, rows - 1, 1));
        }
        PQclear(page);
    }
    return is_good;
}

/* What the client itself takes of a message; its key counts too. */
static int64_t read_max_bytes(rd_kafka_t *producer)
{
    char text[32] = "0";
    size_t size = sizeof text;
    rd_kafka_conf_get(rd_kafka_conf(producer), "message.max.bytes", text, &size);
    return strtoll(text, NULL, 10);
}

/* Blocks of megabytes go back as soon as they are freed. Otherwise glibc learns from the first one to keep the next in its arenas,
 * of which each thread of the client has its own: on a busy machine that held 106 MB where 42 were in use. */
static void settle_heap(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

bool dlq_replay(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice, struct dlq_replay *replay,
                struct error *err)
{
    settle_heap();
    struct dlq_sending sending = {.choice = choice, .producer = open_producer(settings, err)};
    int topic_partitions;
    if (!sending.producer) {
        return false;
    }
    sending.max_bytes = read_max_bytes(sending.producer);
    const bool is_done = kafka_topic_partitions(sending.producer, choice->target, DELIVERY_MS / 3, &topic_partitions, err) &&
                         replay_all(conn, &sending, replay, err);
    rd_kafka_destroy(sending.producer);
    return is_done;
}

bool dlq_dry_run(PGconn *conn, const struct settings *settings, const struct dlq_choice *choice, bool as_json, int64_t *count,
                 struct error *err)
{
    rd_kafka_t *producer = open_producer(settings, err);
    if (!producer) {
        return false;
    }
    char max_bytes[24];
    int64_t bytes = 0, too_large = 0;
    snprintf(max_bytes, sizeof max_bytes, "%" PRId64, read_max_bytes(producer));
    rd_kafka_destroy(producer);
    const char *values[] = {
        choice->topic, choice->reason, choice->topic_partition, choice->offset, choice->with_replayed ? "t" : "f", choice->since,
        choice->key,   max_bytes};
    PGresult *reasons = postgres_query_params(conn, dlq_dry_run_sql, sizeof values / sizeof *values, values, DLQ_QUERY_US, err);
    for (int row = 0; reasons && row < PQntuples(reasons); row++) {
        *count += answer_int(reasons, row, "dead_letters");
        bytes += answer_int(reasons, row, "bytes");
        too_large += answer_int(reasons, row, "too_large");
    }
    if (reasons && as_json) {
        json_t *answer = json_pack("{s:I, s:I, s:I, s:s, s:o}", "would_send", (json_int_t)*count, "bytes", (json_int_t)bytes,
                                   "would_leave", (json_int_t)too_large, "topic", choice->target, "reasons", answer_array(reasons));
        answer_print(answer);
        json_decref(answer);
    } else if (reasons) {
        printf("would send %" PRId64 " dead letters, %" PRId64 " bytes, to topic %s%s\n", *count, bytes, choice->target,
               *count > 0 ? ":" : "");
        for (int row = 0; row < PQntuples(reasons); row++) {
            printf("  %s %s\n", answer_text(reasons, row, "reason"), answer_text(reasons, row, "dead_letters"));
        }
        if (too_large > 0) {
            printf("would leave %" PRId64 " that have more than kafka.message.max.bytes = %s\n", too_large, max_bytes);
        }
    }
    PQclear(reasons);
    return reasons != NULL;
}
