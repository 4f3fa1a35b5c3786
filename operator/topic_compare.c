/* topic_compare.c - see topic_compare.h.
 *
 * The id tells for sure, where both sides have one; then the cluster; an end below the position tells of a log that is not the one
 * that was stored, or was truncated. What grew past the position again only the messages tell: where the ids do not, those that the
 * ledger knows are read again, as the worker does at each claim.
 */
#include "operator/topic_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/anchor.h"
#include "common/array_text.h"
#include "common/clock.h"
#include "common/kafka_trouble.h"
#include "common/postgres.h"
#include "common/utf8.h"
#include "operator/topic_peek.h"

#define QUERY_US (30 * CLOCK_SECOND_US)

/* By to_jsonb: columns that an older schema does not have are NULL. */
static const char topic_sql[] =
    "SELECT c.cluster_id, coalesce(to_jsonb(c) ->> 'topic_id', ''), to_jsonb(c) ->> 'retired_at' IS NOT NULL "
    "FROM tallymill.clusters c WHERE c.topic = $1";
static const char positions_sql[] =
    "SELECT p.topic_partition, p.next_offset FROM tallymill.positions p WHERE p.topic = $1 ORDER BY 1";

static const char known_sql[] = "SELECT to_regprocedure('tallymill.older_anchors(text, integer[], bigint[], integer)') IS NOT NULL";
/* $2, $3: where each topic partition's log begins and ends. */
static const char anchors_sql[] =
    "SELECT a.topic_partition, a.anchor_offset, encode(a.anchor_hash, 'hex') "
    "FROM (SELECT topic_partition, anchor_offset, anchor_hash FROM tallymill.anchors WHERE topic = $1 "
    "UNION SELECT topic_partition, anchor_offset, anchor_hash FROM tallymill.older_anchors($1, "
    "ARRAY(SELECT g FROM generate_series(0, cardinality($2::bigint[]) - 1) AS g), $2::bigint[], 5)) AS a "
    "WHERE octet_length(a.anchor_hash) > 0 AND a.anchor_offset >= ($2::bigint[])[a.topic_partition + 1] "
    "AND a.anchor_offset < ($3::bigint[])[a.topic_partition + 1] ORDER BY 1, 2";

static void compare_ends(const struct topic *topic, const PGresult *positions, struct topic_compare *compared)
{
    int row = 0;
    for (int i = 0; i < topic->count; i++) {
        int64_t next_offset = 0;
        if (row < PQntuples(positions) && strtol(PQgetvalue(positions, row, 0), NULL, 10) == i) {
            next_offset = strtoll(PQgetvalue(positions, row++, 1), NULL, 10);
        }
        if (next_offset > topic->logs[i].high && compared->match == TOPIC_IS_THE_LEDGERS) {
            compared->match = TOPIC_IS_ANOTHER;
            snprintf(compared->difference, sizeof compared->difference,
                     "topic partition %d ends at offset %" PRId64 ", the ledger stands at %" PRId64, i, topic->logs[i].high,
                     next_offset);
        }
        const int64_t from = next_offset < topic->logs[i].low ? topic->logs[i].low : next_offset;
        compared->unread += topic->logs[i].high > from ? topic->logs[i].high - from : 0;
    }
    if (row < PQntuples(positions) && compared->match == TOPIC_IS_THE_LEDGERS &&
        strtoll(PQgetvalue(positions, PQntuples(positions) - 1, 1), NULL, 10) > 0) {
        compared->match = TOPIC_IS_ANOTHER;
        snprintf(compared->difference, sizeof compared->difference, "it has %d topic partitions, the ledger knows %s", topic->count,
                 PQgetvalue(positions, PQntuples(positions) - 1, 0));
    }
}

/* ---- messages that the ledger knows ---- */

struct anchors {
    const PGresult *rows; /* topic partition, offset, hash in hex: sorted, of what Kafka still has */
    struct topic_compare *compared;
};

static void judge(void *context, int place, const rd_kafka_message_t *message)
{
    const struct anchors *anchors = context;
    const int64_t offset = strtoll(PQgetvalue(anchors->rows, place, 1), NULL, 10);
    uint8_t hash[ANCHOR_HASH_BYTES];
    char digits[2 * ANCHOR_HASH_BYTES + 1];
    if (!message || message->offset != offset) { /* gone: that says nothing */
        return;
    }
    anchor_hash(hash, message->payload, message->len);
    for (int byte = 0; byte < ANCHOR_HASH_BYTES; byte++) {
        snprintf(digits + 2 * byte, 3, "%02x", hash[byte]);
    }
    if (strcmp(digits, PQgetvalue(anchors->rows, place, 2)) != 0) {
        anchors->compared->match = TOPIC_IS_ANOTHER;
        snprintf(anchors->compared->difference, sizeof anchors->compared->difference,
                 "another message than the stored one stands in topic partition %s at offset %" PRId64,
                 PQgetvalue(anchors->rows, place, 0), offset);
    }
}

/* NULL: the database failed, or is of before there were such anchors (ERROR_NONE). */
static PGresult *ask_anchors(PGconn *conn, const char *name, const struct topic *topic, struct error *err)
{
    struct array_text lows = {0}, highs = {0};
    PGresult *known = postgres_query(conn, known_sql, QUERY_US, err);
    const bool is_known = known && strcmp(PQgetvalue(known, 0, 0), "t") == 0;
    PQclear(known);
    if (!is_known) {
        return NULL;
    }
    array_text_begin(&lows);
    array_text_begin(&highs);
    for (int i = 0; i < topic->count; i++) {
        array_text_add_int64(&lows, topic->logs[i].low);
        array_text_add_int64(&highs, topic->logs[i].high);
    }
    const char *values[] = {name, array_text_end(&lows), array_text_end(&highs)};
    PGresult *anchors = values[1] && values[2] ? postgres_query_params(conn, anchors_sql, 3, values, QUERY_US, err) : NULL;
    if (!values[1] || !values[2]) {
        error_set(err, ERROR_RETRY, "out of memory");
    }
    array_text_free(&lows);
    array_text_free(&highs);
    return anchors;
}

/* A log that cannot be read (a right, a leader that is away) is not told from the ledger's: the worker tells at its claim. */
static bool compare_anchors(PGconn *conn, rd_kafka_t *client, const char *name, const struct topic *topic, int timeout_ms,
                            struct topic_compare *compared, struct error *err)
{
    struct error ignored = {0};
    error_clear(err);
    PGresult *rows = ask_anchors(conn, name, topic, err);
    if (!rows) {
        return err->kind == ERROR_NONE;
    }
    const int count = PQntuples(rows);
    struct anchors anchors = {rows, compared};
    struct topic_place *places = calloc((size_t)count + 1, sizeof *places);
    for (int i = 0; places && i < count; i++) {
        places[i] = (struct topic_place){.topic_partition = (int32_t)strtol(PQgetvalue(rows, i, 0), NULL, 10),
                                         .offset = strtoll(PQgetvalue(rows, i, 1), NULL, 10)};
    }
    if (places && count > 0) {
        error_ignore(topic_peek(client, name, places, count, timeout_ms, judge, &anchors, &ignored));
    }
    free(places);
    PQclear(rows);
    return places || error_set(err, ERROR_RETRY, "out of memory");
}

static bool compare_topic(PGconn *conn, rd_kafka_t *client, const char *name, const char *known_id, int timeout_ms,
                          struct topic_compare *compared, struct error *err)
{
    struct topic topic;
    const char *values[] = {name};
    if (!topic_read(client, name, timeout_ms, &topic, err)) {
        if (!topic.is_absent) {
            return false;
        }
        error_clear(err);
        compared->match = TOPIC_IS_GONE;
        return true;
    }
    PGresult *positions = postgres_query_params(conn, positions_sql, 1, values, QUERY_US, err);
    memcpy(compared->topic_id, topic.id, sizeof compared->topic_id);
    const bool has_ids = known_id[0] != '\0' && topic.id[0] != '\0';
    compared->is_same_id = has_ids && strcmp(known_id, topic.id) == 0;
    if (positions && has_ids && !compared->is_same_id) {
        compared->match = TOPIC_IS_ANOTHER;
        snprintf(compared->difference, sizeof compared->difference, "its id is %s, the ledger is about %.*s", topic.id,
                 UTF8_CUT(known_id, 60));
    }
    if (positions) {
        compare_ends(&topic, positions, compared);
    }
    bool is_compared = positions != NULL;
    if (is_compared && !has_ids && compared->match == TOPIC_IS_THE_LEDGERS) {
        is_compared = compare_anchors(conn, client, name, &topic, timeout_ms, compared, err);
    }
    topic_free(&topic);
    PQclear(positions);
    return is_compared;
}

bool topic_compare(PGconn *conn, rd_kafka_t *client, const char *name, int timeout_ms, struct topic_compare *compared,
                   struct error *err)
{
    const char *values[] = {name};
    *compared = (struct topic_compare){.match = TOPIC_IS_THE_LEDGERS};
    PGresult *known = postgres_query(conn, "SELECT to_regclass('tallymill.clusters') IS NOT NULL", QUERY_US, err);
    if (known && strcmp(PQgetvalue(known, 0, 0), "t") == 0) {
        PQclear(known);
        known = postgres_query_params(conn, topic_sql, 1, values, QUERY_US, err);
        compared->is_known = known && PQntuples(known) == 1;
    }
    if (!known) {
        return false;
    }
    topic_cluster(client, timeout_ms, compared->cluster_id);
    bool is_compared = true;
    if (compared->cluster_id[0] == '\0') {
        is_compared = error_set(err, ERROR_RETRY, "no Kafka broker has told its cluster id within %d ms", timeout_ms);
        kafka_trouble_explain(client, err); /* a certificate, a login: then it says so, and what to set */
    } else if (compared->is_known) {
        compared->is_retired = strcmp(PQgetvalue(known, 0, 2), "t") == 0;
        is_compared = compare_topic(conn, client, name, PQgetvalue(known, 0, 1), timeout_ms, compared, err);
        if (is_compared && strcmp(PQgetvalue(known, 0, 0), compared->cluster_id) != 0) {
            compared->match = compared->match == TOPIC_IS_GONE ? TOPIC_IS_GONE : TOPIC_IS_ELSEWHERE;
            compared->is_other_cluster = true;
            snprintf(compared->difference, sizeof compared->difference,
                     "this is Kafka cluster %s, the ledger is about cluster %.*s", compared->cluster_id,
                     UTF8_CUT(PQgetvalue(known, 0, 0), 60));
        }
    }
    PQclear(known);
    return is_compared;
}
