/* erase_kafka.c - see erase.h: what was published before somebody asked to be forgotten is stored first, so that it can be taken
 * away: of each topic whose books are open. Offsets of a topic that was made anew say nothing about what is stored.
 *
 * Kafka's own copies cannot: they go when the topic's retention is over, and the receipt says when, or that they stay.
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
#include "operator/step_teller.h"
#include "operator/topic.h"
#include "operator/topic_compare.h"

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

static bool wait_for_ledger(struct erase_run *run, const char *name, const struct topic *topic, int64_t deadline_us,
                            struct error *err)
{
    bool is_told = false;
    for (;;) { /* ends: at the deadline */
        const int64_t unread = count_unread(run, name, topic, err);
        if (unread <= 0) {
            return unread == 0;
        }
        if (clock_now_us() >= deadline_us) {
            erase_remark(run, true,
                         "%" PRId64 " messages that were published before wait in Kafka (topic %s): let a worker store them, and "
                         "erase again",
                         unread, name);
            return true;
        }
        step_teller_end();
        tell_waiting(unread, &is_told);
        poll(NULL, 0, LOOK_MS);
    }
}

/* For how many seconds Kafka keeps a message; -1: for ever, or it is not known, which is a remark. */
static int64_t read_retention(struct erase_run *run, rd_kafka_t *client, const char *name)
{
    struct error err = {0};
    char policy[64], value[32];
    if (!topic_setting(client, name, "cleanup.policy", KAFKA_MS, policy, sizeof policy, &err) ||
        !topic_setting(client, name, "retention.ms", KAFKA_MS, value, sizeof value, &err)) {
        erase_remark(run, false, "how long Kafka keeps its own copies is not known: %s", err.text);
    } else if (!strstr(policy, "delete")) {
        erase_remark(run, false, "Kafka keeps its own copies for ever: topic %s has cleanup.policy = %s", name, policy);
    } else if (value[0] == '-') {
        erase_remark(run, false, "Kafka keeps its own copies for ever: topic %s has retention.ms = %s", name, value);
    } else {
        return strtoll(value, NULL, 10) / 1000;
    }
    return -1;
}

static void keep_for(struct erase_run *run, int64_t seconds)
{
    run->kafka_keeps_s = seconds < 0 || run->kafka_keeps_s < 0 ? -1 : seconds > run->kafka_keeps_s ? seconds : run->kafka_keeps_s;
}

static bool look_at(struct erase_run *run, rd_kafka_t *client, const char *name, bool is_other, int64_t deadline_us,
                    struct error *err)
{
    struct error away = {0};
    struct topic topic = {0};
    struct topic_compare compared;
    bool is_good = true;
    step_teller_begin("tallymill erase", "asks Kafka what it still holds of topic %s", name);
    const bool is_asked = topic_compare(run->conn, client, name, KAFKA_MS, &compared, &away);
    if (is_asked && is_other && compared.match == TOPIC_IS_GONE && !compared.is_other_cluster) {
        return true; /* and Kafka has nothing of it any more */
    }
    if (is_asked && (compared.is_other_cluster || compared.match == TOPIC_IS_ANOTHER)) {
        erase_remark(run, true,
                     "topic %s is not the one that the books are about (%s), so what it holds of them is not known to be stored: "
                     "tallymill topic renew %s begins new books, tallymill topic retire %s closes them; then erase again",
                     name, compared.difference, name, name);
        keep_for(run, compared.is_other_cluster ? -1 : read_retention(run, client, name));
    } else if (!is_asked || !topic_read(client, name, KAFKA_MS, &topic, &away)) {
        erase_remark(run, true, "Kafka was not asked what it still holds: %s", away.text);
        keep_for(run, -1);
    } else {
        keep_for(run, read_retention(run, client, name));
        is_good = wait_for_ledger(run, name, &topic, deadline_us, err);
    }
    topic_free(&topic);
    return is_good;
}

bool erase_wait_for_kafka(struct erase_run *run, struct error *err)
{
    const char *const values[] = {settings_text(run->settings, "topics.events")};
    const int64_t deadline_us = clock_now_us() + run->wait_us;
    struct error away = {0};
    PGresult *others = postgres_query_params(
        run->conn, "SELECT c.topic FROM tallymill.clusters c WHERE c.topic <> $1 AND c.retired_at IS NULL ORDER BY 1", 1, values,
        ERASE_QUERY_US, err);
    rd_kafka_t *client = others ? topic_client(run->settings, &away) : NULL;
    run->kafka_keeps_s = 0;
    bool is_good = others != NULL;
    if (is_good && !client) {
        erase_remark(run, true, "Kafka was not asked what it still holds: %s", away.text);
        run->kafka_keeps_s = -1;
    }
    is_good = is_good && (!client || look_at(run, client, values[0], false, deadline_us, err));
    for (int row = 0; is_good && client && row < PQntuples(others); row++) {
        is_good = look_at(run, client, PQgetvalue(others, row, 0), true, deadline_us, err);
    }
    PQclear(others);
    if (client) {
        rd_kafka_destroy(client);
    }
    return is_good;
}
