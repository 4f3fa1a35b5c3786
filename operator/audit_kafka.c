/* audit_kafka.c - the part of the audit that asks Kafka: no position lies beyond a log's end, the log is still the one that was
 * stored (its topic's id, and audit_anchor.c), and how much is unread.
 *
 * Kafka is asked after the snapshot was taken. Its logs only grow at the end, so a position of the snapshot that lies beyond the
 * end seen later is truth about the log (truncated, or another topic of the same name), not a race. The topic that is asked for
 * must be there; of the others a database may know some that these settings do not lead to: those are notes.
 */
#include "operator/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"
#include "operator/topic.h"

extern const char audit_positions_sql[], audit_older_anchors_sql[];

enum { KAFKA_TIMEOUT_MS = 10000 };

/* What the ledger says of one topic: the rows [first, last) of `positions`; there may be none. */
struct books {
    const char *name;
    const PGresult *positions;
    int first, last;
    bool is_asked_for; /* --topic, or topics.events */
};

static const char *known(const struct books *books, const char *column)
{
    return books->first < books->last ? answer_text(books->positions, books->first, column) : "";
}

static void add_damage(struct audit *audit, const struct books *books, const char *kind, const char *text)
{
    struct finding finding = finding_make(kind, text);
    finding.topic = books->name;
    audit_damage(audit, &finding);
}

/* One topic partition of the ledger, a row of `positions`, against its log. True: its last message is to be compared. */
static bool compare_position(struct audit *audit, const struct books *books, int row, const struct topic *topic)
{
    const int64_t topic_partition = answer_int(books->positions, row, "topic_partition");
    const int64_t next_offset = answer_int(books->positions, row, "next_offset");
    char text[256] = "";
    struct finding finding = finding_make("log truncated", text);
    finding.topic = books->name;
    finding.topic_partition = topic_partition;
    if (topic_partition >= topic->count && next_offset == 0) /* an owner of before `topic renew`: its books say nothing */
        return false;
    if (topic_partition >= topic->count) {
        finding.kind = "topic partition gone";
        snprintf(text, sizeof text, "Kafka has only %d topic partitions: the topic was deleted and made anew", topic->count);
        audit_damage(audit, &finding);
        return false;
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
                   books->name, topic_partition, next_offset, log->low - 1);
    }
    int64_t from = next_offset < log->low ? log->low : next_offset;
    audit->unread += log->high > from ? log->high - from : 0;
    return next_offset >= log->low && next_offset <= log->high;
}

/* Adds an anchor, or says that Kafka no longer has the last one. */
static void add_anchor(struct audit *audit, struct audit_anchor *anchors, int *count, const struct audit_anchor *anchor,
                       int64_t low)
{
    if (anchor->offset >= low) {
        anchors[(*count)++] = *anchor;
    } else if (anchor->is_last) {
        audit_note(audit,
                   "topic %s, topic partition %" PRId32 ": the last stored message, at offset %" PRId64
                   ", is gone from Kafka: whether the log is the same cannot be told",
                   anchor->topic, anchor->topic_partition, anchor->offset);
    }
}

static int by_place(const void *left, const void *right)
{
    const struct audit_anchor *a = left, *b = right;
    if (a->topic_partition != b->topic_partition) {
        return a->topic_partition < b->topic_partition ? -1 : 1;
    }
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Older messages that the ledger knows, of all topic partitions; NULL: the database failed. */
static PGresult *ask_older(struct audit *audit, const struct books *books, const struct topic *topic, struct error *err)
{
    struct array_text lows = {0};
    array_text_begin(&lows);
    for (int i = 0; i < topic->count; i++) {
        array_text_add_int64(&lows, topic->logs[i].low);
    }
    const char *list = array_text_end(&lows);
    const bool is_set = list ? snapshot_set(audit->snapshot, "audit_topic", books->name, err) &&
                                   snapshot_set(audit->snapshot, "audit_lows", list, err)
                             : error_set(err, ERROR_RETRY, "out of memory");
    array_text_free(&lows);
    return is_set ? snapshot_ask(audit->snapshot, audit_older_anchors_sql, err) : NULL;
}

/* Whether the last stored messages stand where they stood, and older ones where the topic's id does not tell. */
static bool compare_anchors(struct audit *audit, rd_kafka_t *client, const struct books *books, const bool *is_wanted,
                            const struct topic *topic, bool is_proven, struct error *err)
{
    int count = 0;
    PGresult *older = is_proven ? NULL : ask_older(audit, books, topic, err);
    if (!is_proven && !older) {
        return false;
    }
    const int rows = books->last - books->first, most = rows + (older ? PQntuples(older) : 0);
    struct audit_anchor *anchors = calloc((size_t)most + 1, sizeof *anchors);
    if (!anchors) {
        PQclear(older);
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    for (int row = books->first; row < books->last; row++) {
        const struct audit_anchor anchor = {books->name, (int32_t)answer_int(books->positions, row, "topic_partition"),
                                            answer_int(books->positions, row, "anchor_offset"),
                                            answer_text(books->positions, row, "anchor_hash"), true};
        if (is_wanted[row - books->first] && anchor.hash[0] != '\0') {
            add_anchor(audit, anchors, &count, &anchor, topic->logs[anchor.topic_partition].low);
        }
    }
    for (int row = 0; older && row < PQntuples(older); row++) {
        const struct audit_anchor anchor = {books->name, (int32_t)answer_int(older, row, "topic_partition"),
                                            answer_int(older, row, "anchor_offset"), answer_text(older, row, "anchor_hash"), false};
        if (anchor.offset < topic->logs[anchor.topic_partition].high) {
            add_anchor(audit, anchors, &count, &anchor, topic->logs[anchor.topic_partition].low);
        }
    }
    qsort(anchors, (size_t)count, sizeof *anchors, by_place);
    audit_anchors_compare(audit, client, books->name, anchors, count);
    free(anchors);
    PQclear(older);
    return true;
}

/* The topic is the ledger's, as far as its id tells. False: the database failed. */
static bool compare_topic(struct audit *audit, rd_kafka_t *client, const struct books *books, const struct topic *topic,
                          struct error *err)
{
    const char *known_id = known(books, "topic_id");
    if (known_id[0] != '\0' && topic->id[0] != '\0' && strcmp(known_id, topic->id) != 0) {
        char text[320];
        snprintf(text, sizeof text,
                 "the topic was deleted and made anew: its id is %s, the ledger is about %s; nothing of it is stored (tallymill "
                 "topic renew)",
                 topic->id, known_id);
        add_damage(audit, books, "topic made anew", text); /* and what shows by its offsets and messages */
    }
    bool *is_wanted = calloc((size_t)(books->last - books->first) + 1, sizeof *is_wanted);
    if (!is_wanted) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    int row = books->first;
    for (int i = 0; i < topic->count; i++) {
        if (row < books->last && answer_int(books->positions, row, "topic_partition") == i) {
            is_wanted[row - books->first] = compare_position(audit, books, row, topic);
            row++;
        } else { /* never claimed: all of it is unread */
            audit->unread += topic->logs[i].high - topic->logs[i].low;
        }
    }
    for (; row < books->last; row++) {
        is_wanted[row - books->first] = compare_position(audit, books, row, topic);
    }
    const bool is_compared =
        compare_anchors(audit, client, books, is_wanted, topic, known_id[0] != '\0' && topic->id[0] != '\0', err);
    free(is_wanted);
    return is_compared;
}

/* A topic that these settings do not lead to: a damage where it is the one that is asked about, else a note. */
static void note_elsewhere(struct audit *audit, const struct books *books, const char *kind, const char *text)
{
    if (books->is_asked_for) {
        add_damage(audit, books, kind, text);
    } else {
        audit_note(audit, "topic %s was not compared with Kafka: %s; if it is over for good: tallymill topic retire %s --yes",
                   books->name, text, books->name);
    }
}

/* False: the database failed. kafka_silence is set where Kafka does not answer. */
static bool ask_topic(struct audit *audit, rd_kafka_t *client, const struct books *books, struct error *err)
{
    struct topic topic;
    struct error local = {0};
    char cluster_id[TOPIC_CLUSTER_BYTES], text[384];
    const char *known_cluster = known(books, "cluster_id");
    topic_cluster(client, KAFKA_TIMEOUT_MS, cluster_id);
    if (known_cluster[0] != '\0' && cluster_id[0] != '\0' && strcmp(known_cluster, cluster_id) != 0) {
        snprintf(
            text, sizeof text,
            "the ledger is about Kafka cluster %.*s, the settings lead to cluster %.*s: offsets of two clusters do not compare",
            UTF8_CUT(known_cluster, 60), UTF8_CUT(cluster_id, 60));
        note_elsewhere(audit, books, "other cluster", text);
        return true;
    }
    if (topic_read(client, books->name, KAFKA_TIMEOUT_MS, &topic, &local)) {
        const bool is_compared = compare_topic(audit, client, books, &topic, err);
        topic_free(&topic);
        return is_compared;
    }
    if (topic.is_absent && books->first < books->last) {
        note_elsewhere(audit, books, "topic gone", local.text);
        return true;
    }
    if (local.kind == ERROR_USAGE && !topic.is_absent && !books->is_asked_for) {
        audit_note(audit, "topic %s was not compared with Kafka: %s", books->name, local.text);
        return true;
    }
    snprintf(audit->kafka_silence, sizeof audit->kafka_silence, "%s", local.text);
    return true;
}

bool audit_kafka(struct audit *audit, struct error *err)
{
    bool is_seen = false, is_well = true;
    PGresult *positions = snapshot_ask(audit->snapshot, audit_positions_sql, err);
    if (!positions) {
        return false;
    }
    rd_kafka_t *client = topic_client(audit->settings, err);
    if (!client) {
        PQclear(positions);
        return false;
    }
    const int rows = PQntuples(positions);
    struct books books = {.positions = positions};
    for (books.last = 0; books.last < rows && is_well && audit->kafka_silence[0] == '\0';) {
        books.first = books.last;
        books.name = answer_text(positions, books.first, "topic");
        while (books.last < rows && strcmp(answer_text(positions, books.last, "topic"), books.name) == 0) {
            books.last++;
        }
        books.is_asked_for = strcmp(books.name, audit->own_topic) == 0;
        is_seen = is_seen || books.is_asked_for;
        if (books.is_asked_for || !audit->is_one_topic) {
            is_well = ask_topic(audit, client, &books, err);
        }
    }
    if (is_well && !is_seen && !audit->is_retired && audit->kafka_silence[0] == '\0') {
        const struct books none = {audit->own_topic, positions, 0, 0, true};
        is_well = ask_topic(audit, client, &none, err);
    }
    rd_kafka_destroy(client);
    PQclear(positions);
    return is_well;
}
