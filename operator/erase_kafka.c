/* erase_kafka.c - see erase.h: what was published before somebody asked to be forgotten is stored first, so that it can be taken
 * away.
 *
 * Kafka's own copies cannot: they go when the topic's retention is over, and the receipt says when.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/topic.h"

enum { KAFKA_MS = 10000, LOOK_MS = 200 };

/* How many messages the ledger has not passed; -1: the database failed. */
static int64_t count_unread(struct erase_run *run, const char *name, const struct topic *topic, struct error *err)
{
    const char *const values[] = {name};
    PGresult *positions =
        postgres_query_params(run->conn, "SELECT p.topic_partition, p.next_offset FROM tallymill.positions p WHERE p.topic = $1", 1,
                              values, ERASE_QUERY_US, err);
    int64_t unread = positions ? 0 : -1;
    for (int i = 0; positions && i < topic->count; i++) {
        int64_t next = topic->logs[i].low;
        for (int row = 0; row < PQntuples(positions); row++) {
            if (answer_int(positions, row, "topic_partition") == i && answer_int(positions, row, "next_offset") > next) {
                next = answer_int(positions, row, "next_offset");
            }
        }
        unread += topic->logs[i].high > next ? topic->logs[i].high - next : 0;
    }
    PQclear(positions);
    return unread;
}

/* On a terminal as it goes, elsewhere once. */
static void tell_waiting(int64_t unread, bool *is_told)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\rwaiting until %" PRId64 " messages are stored \x1b[K", unread);
    } else if (!*is_told) {
        fprintf(stderr, "tallymill erase: waits until %" PRId64 " messages are stored\n", unread);
    }
    *is_told = true;
}

static bool wait_for_ledger(struct erase_run *run, const char *name, const struct topic *topic, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + run->wait_us;
    bool is_told = false;
    for (;;) { /* ends: at the deadline */
        const int64_t unread = count_unread(run, name, topic, err);
        if (unread <= 0) {
            return unread == 0;
        }
        if (clock_now_us() >= deadline_us) {
            erase_remark(run, true,
                         "%" PRId64 " messages that were published before wait in Kafka: let a worker store them, and erase again",
                         unread);
            return true;
        }
        tell_waiting(unread, &is_told);
        poll(NULL, 0, LOOK_MS);
    }
}

/* How long Kafka keeps a message. */
static void read_retention(struct erase_run *run, rd_kafka_t *client, const char *name)
{
    struct error err = {0};
    char value[32];
    run->kafka_keeps_s = -1;
    if (!topic_setting(client, name, "retention.ms", KAFKA_MS, value, sizeof value, &err)) {
        erase_remark(run, false, "how long Kafka keeps its own copies is not known: %s", err.text);
    } else if (value[0] == '-') {
        erase_remark(run, false, "Kafka keeps its own copies for ever: topic %s has retention.ms = %s", name, value);
    } else {
        run->kafka_keeps_s = strtoll(value, NULL, 10) / 1000;
    }
}

bool erase_wait_for_kafka(struct erase_run *run, struct error *err)
{
    const char *name = settings_text(run->settings, "topics.events");
    struct error away = {0};
    struct topic topic = {0};
    rd_kafka_t *client = topic_client(run->settings, &away);
    bool is_good = true;
    if (!client || !topic_read(client, name, KAFKA_MS, &topic, &away)) {
        run->kafka_keeps_s = -1;
        erase_remark(run, true, "Kafka was not asked what it still holds: %s", away.text);
    } else {
        read_retention(run, client, name);
        is_good = wait_for_ledger(run, name, &topic, err);
    }
    topic_free(&topic);
    if (client) {
        rd_kafka_destroy(client);
    }
    return is_good;
}
