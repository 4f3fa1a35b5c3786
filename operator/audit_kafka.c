/* audit_kafka.c - the part of the audit that asks Kafka: no position lies beyond a log's end, the log is still the one that was
 * stored (audit_anchor.c), and how much is unread.
 *
 * Kafka is asked after the snapshot was taken. Its logs only grow at the end, so a position of the snapshot that lies beyond the
 * end seen later is truth about the log (truncated, or another topic of the same name), not a race.
 */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "settings.h"
#include "snapshot.h"
#include "terminal.h"
#include "topic.h"
#include "utf8.h"

extern const char audit_positions_sql[];

enum { KAFKA_TIMEOUT_MS = 10000 };

/* One topic partition of the ledger, a row of `positions`, against its log. */
static void compare_position(struct audit *audit, rd_kafka_t *client, const char *name, const PGresult *positions, int row,
                             const struct topic *topic)
{
    const int64_t topic_partition = answer_int(positions, row, "topic_partition");
    const int64_t next_offset = answer_int(positions, row, "next_offset");
    const struct audit_anchor anchor = {name, (int32_t)topic_partition, answer_int(positions, row, "anchor_offset"),
                                        answer_text(positions, row, "anchor_hash")};
    char text[256] = "";
    struct finding finding = finding_make("log truncated", text);
    finding.topic = name;
    finding.topic_partition = topic_partition;
    if (topic_partition >= topic->count) {
        finding.kind = "topic partition gone";
        snprintf(text, sizeof text, "Kafka has only %d topic partitions: the topic was deleted and made anew", topic->count);
        audit_damage(audit, &finding);
        return;
    }
    const struct topic_log *log = &topic->logs[topic_partition];
    if (next_offset > log->high) {
        finding.first_offset = log->high;
        finding.next_offset = next_offset;
        snprintf(text, sizeof text,
                 "the ledger covers these offsets, but Kafka's log ends at %" PRId64
                 ": it was truncated, or the topic was made anew",
                 log->high);
        audit_damage(audit, &finding);
    } else if (next_offset < log->low) {
        audit_note(audit,
                   "topic %s, topic partition %" PRId64 ": Kafka no longer has offsets %" PRId64 " to %" PRId64
                   ", which were never read; the worker will note them as a gap",
                   name, topic_partition, next_offset, log->low - 1);
    }
    if (next_offset >= log->low && next_offset <= log->high && anchor.hash[0] != '\0') {
        audit_anchor_compare(audit, client, &anchor, log->low);
    }
    int64_t from = next_offset < log->low ? log->low : next_offset;
    audit->unread += log->high > from ? log->high - from : 0;
}

/* The rows [first, last) of `positions` belong to this topic; there may be none. Ends early where kafka_silence is set. */
static void compare_topic(struct audit *audit, rd_kafka_t *client, const char *name, const PGresult *positions, int first, int last,
                          const struct topic *topic)
{
    const char *known_cluster = first < last ? answer_text(positions, first, "cluster_id") : "";
    if (known_cluster[0] != '\0' && topic->cluster_id[0] != '\0' && strcmp(known_cluster, topic->cluster_id) != 0) {
        char text[256] = "";
        struct finding finding = finding_make("other cluster", text);
        finding.topic = name;
        snprintf(
            text, sizeof text,
            "the ledger is about Kafka cluster %.*s, the settings lead to cluster %.*s: offsets of two clusters do not compare",
            UTF8_CUT(known_cluster, 60), UTF8_CUT(topic->cluster_id, 60));
        audit_damage(audit, &finding);
        return;
    }
    int row = first;
    for (int i = 0; i < topic->count && audit->kafka_silence[0] == '\0'; i++) {
        if (row < last && answer_int(positions, row, "topic_partition") == i) {
            compare_position(audit, client, name, positions, row, topic);
            row++;
        } else { /* never claimed: all of it is unread */
            audit->unread += topic->logs[i].high - topic->logs[i].low;
        }
    }
    for (; row < last && audit->kafka_silence[0] == '\0'; row++) {
        compare_position(audit, client, name, positions, row, topic);
    }
}

/* False: Kafka does not answer (kafka_silence is set); a topic that does not exist is a damage where the ledger knows it. */
static bool ask_topic(struct audit *audit, rd_kafka_t *client, const char *name, const PGresult *positions, int first, int last)
{
    struct topic topic;
    struct error err = {0};
    if (topic_read(client, name, KAFKA_TIMEOUT_MS, &topic, &err)) {
        compare_topic(audit, client, name, positions, first, last, &topic);
        topic_free(&topic);
        return audit->kafka_silence[0] == '\0';
    }
    if (err.kind == ERROR_USAGE && first < last) {
        struct finding finding = finding_make("topic gone", err.text);
        finding.topic = name;
        audit_damage(audit, &finding);
        return true;
    }
    snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "%s", err.text);
    return false;
}

bool audit_kafka(struct audit *audit, struct error *err)
{
    const char *own_topic = settings_text(audit->settings, "topics.events");
    bool is_own_seen = false, answers = true;
    PGresult *positions = snapshot_ask(audit->snapshot, audit_positions_sql, err);
    if (!positions) {
        return false;
    }
    rd_kafka_t *client = topic_client(audit->settings, err);
    if (!client) {
        PQclear(positions);
        return false;
    }
    int rows = PQntuples(positions);
    for (int first = 0, last = 0; first < rows && answers; first = last) {
        const char *name = answer_text(positions, first, "topic");
        while (last < rows && strcmp(answer_text(positions, last, "topic"), name) == 0) {
            last++;
        }
        is_own_seen = is_own_seen || strcmp(name, own_topic) == 0;
        answers = ask_topic(audit, client, name, positions, first, last);
    }
    if (answers && !is_own_seen) {
        ask_topic(audit, client, own_topic, positions, 0, 0);
    }
    rd_kafka_destroy(client);
    PQclear(positions);
    return true;
}
