/* topic_compare.c - see topic_compare.h.
 *
 * The id tells for sure, where both sides have one; then the cluster; an end below the position tells of a log that is not the one
 * that was stored, or was truncated. What grew past the position again only the messages tell (audit).
 */
#include "operator/topic_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka_trouble.h"
#include "common/postgres.h"
#include "common/utf8.h"

#define QUERY_US (30 * CLOCK_SECOND_US)

/* By to_jsonb: columns that an older schema does not have are NULL. */
static const char topic_sql[] =
    "SELECT c.cluster_id, coalesce(to_jsonb(c) ->> 'topic_id', ''), to_jsonb(c) ->> 'retired_at' IS NOT NULL "
    "FROM tallymill.clusters c WHERE c.topic = $1";
static const char positions_sql[] =
    "SELECT p.topic_partition, p.next_offset FROM tallymill.positions p WHERE p.topic = $1 ORDER BY 1";

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
    if (positions && known_id[0] != '\0' && topic.id[0] != '\0' && strcmp(known_id, topic.id) != 0) {
        compared->match = TOPIC_IS_ANOTHER;
        snprintf(compared->difference, sizeof compared->difference, "its id is %s, the ledger is about %.*s", topic.id,
                 UTF8_CUT(known_id, 60));
    }
    if (positions) {
        compare_ends(&topic, positions, compared);
    }
    topic_free(&topic);
    PQclear(positions);
    return positions != NULL;
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
