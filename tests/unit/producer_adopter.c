/* producer_adopter.c - the library as its adopters meet it: calls from hooks, mistakes, NULL.
 *
 * What needs a broker that refuses has a mock cluster of its own, which outlives the library's handles.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <tallymill/producer.h>

#include "common/clock.h"
#include "producer_directory.h"
#include "producer_open.h"

/* Ends the process when a call does not return. */
static void expect_within(unsigned seconds)
{
    alarm(seconds);
}

struct broker {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    const char *servers;
};

static struct broker start_broker(const char *topic)
{
    char reason[256];
    struct broker broker = {.handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof reason)};
    cr_assert_not_null(broker.handle, "%s", reason);
    broker.cluster = rd_kafka_mock_cluster_new(broker.handle, 1);
    broker.servers = rd_kafka_mock_cluster_bootstraps(broker.cluster);
    if (topic != NULL)
        rd_kafka_mock_topic_create(broker.cluster, topic, 2, 1);
    return broker;
}

static void stop_broker(struct broker *broker)
{
    rd_kafka_mock_cluster_destroy(broker->cluster);
    rd_kafka_destroy(broker->handle);
}

struct said {
    pthread_mutex_t mutex;
    char lines[8192];
    char error[512]; /* of the last event that was given up */
    atomic_int acknowledged, failed;
};

static void on_log(void *context, int level, const char *text)
{
    struct said *said = context;
    if (level > 4)
        return;
    pthread_mutex_lock(&said->mutex);
    size_t used = strlen(said->lines);
    snprintf(said->lines + used, sizeof said->lines - used, "%s\n", text);
    pthread_mutex_unlock(&said->mutex);
}

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct said *said = context;
    if (delivery->error == NULL) {
        said->acknowledged++;
        return;
    }
    pthread_mutex_lock(&said->mutex);
    snprintf(said->error, sizeof said->error, "%s", delivery->error);
    pthread_mutex_unlock(&said->mutex);
    said->failed++;
}

static unsigned count_in(struct said *said, const char *text)
{
    pthread_mutex_lock(&said->mutex);
    unsigned count = 0;
    for (const char *at = said->lines; (at = strstr(at, text)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&said->mutex);
    return count;
}

static bool wait_for_line(struct said *said, const char *text, int64_t within_us)
{
    int64_t deadline_us = clock_now_us() + within_us;
    while (count_in(said, text) == 0 && clock_now_us() < deadline_us)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return count_in(said, text) > 0;
}

#define HOOKS(said)                                                                                                                \
    (&(struct tally_hooks){.size = sizeof(struct tally_hooks), .delivered = on_delivered, .log = on_log, .context = (said)})

struct caller {
    struct tally_producer *producer;
    int call;
    atomic_int answer; /* -1: not called yet */
    struct tally_error err;
};

static void call_from_hook(void *context, const struct tally_delivery *delivery)
{
    (void)delivery;
    struct caller *caller = context;
    if (caller->answer >= 0)
        return;
    struct tally_counts counts;
    switch (caller->call) {
    case 0: caller->answer = tally_stop(caller->producer, 5000, &counts); break;
    case 1: caller->answer = tally_flush(caller->producer, 5000); break;
    case 2: caller->answer = tally_close(caller->producer, 5000, &counts); break;
    case 3: caller->answer = tally_check(caller->producer, 5000, NULL, &caller->err) == TALLY_OK; break;
    default: {
        enum tally_code code;
        int published = 0;
        while ((code = publish_one(caller->producer, &caller->err)) == TALLY_OK && published < 100000)
            published++;
        caller->answer = code == TALLY_FULL ? 0 : 1;
    }
    }
}

Test(hook, nothing_that_is_called_from_the_delivered_hook_waits_or_breaks)
{
    for (int call = 0; call < 5; call++) {
        struct caller caller = {.call = call, .answer = -1};
        struct tally_hooks hooks = {.size = sizeof hooks, .delivered = call_from_hook, .context = &caller};
        caller.producer = open_with(NULL, &hooks, "publish.timeout.ms", "60000");
        expect_within(20);
        cr_assert_eq(publish_one(caller.producer, NULL), TALLY_OK);
        int64_t start_us = clock_now_us(), deadline_us = start_us + 15 * CLOCK_SECOND_US;
        while (caller.answer < 0 && clock_now_us() < deadline_us)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        cr_assert_eq(caller.answer, 0, "call %d answers false, or FULL", call);
        tally_close(caller.producer, 20000, NULL);
        alarm(0);
    }
}

Test(hook, what_is_called_from_a_hook_while_the_producer_stops_breaks_nothing)
{
    struct caller caller = {.call = 2, .answer = -1};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = call_from_hook, .context = &caller};
    expect_within(20);
    caller.producer = open_with("127.0.0.1:1", &hooks, "queue.size", "1 MiB");
    cr_assert_eq(publish_one(caller.producer, NULL), TALLY_OK);
    struct tally_counts counts;
    cr_assert(!tally_close(caller.producer, 0, &counts));
    cr_assert_eq(caller.answer, 0);
    cr_assert_eq(counts.failed, 1);
}

Test(hook, with_sync_each_a_publish_from_the_hook_is_refused_at_once)
{
    const char *path = new_directory();
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "ignored:1"},
                                       {"kafka.test.mock.num.brokers", "1"},
                                       {"kafka.allow.auto.create.topics", "true"},
                                       {"spool.dir", path},
                                       {"spool.sync", "each"},
                                       {NULL, NULL}};
    struct caller caller = {.call = 4, .answer = -1};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = call_from_hook, .context = &caller};
    struct tally_error err;
    expect_within(20);
    caller.producer = tally_open(settings, &hooks, &err);
    cr_assert_not_null(caller.producer, "%s", err.text);
    cr_assert_eq(publish_one(caller.producer, NULL), TALLY_OK);
    cr_assert(tally_close(caller.producer, 10000, NULL));
    cr_assert_eq(caller.answer, 0);
    cr_assert_not_null(strstr(caller.err.text, "hook"), "%s", caller.err.text);
    remove_directory(path);
}

Test(said, a_broker_that_does_not_answer_is_named_in_the_log_by_publish_and_at_close)
{
    struct said said = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tally_error err = {0};
    struct tally_producer *producer = open_with("127.0.0.1:1", HOOKS(&said), "queue.size", "256 KiB");
    cr_assert_eq(publish_one(producer, NULL), TALLY_OK);
    cr_assert(wait_for_line(&said, "no broker answers at 127.0.0.1:1", 10 * CLOCK_SECOND_US), "%s", said.lines);
    enum tally_code code;
    int count = 0;
    while ((code = publish_one(producer, &err)) == TALLY_OK && count < 10000000)
        count++;
    cr_assert_eq(code, TALLY_FULL);
    cr_assert_not_null(strstr(err.text, "no broker answers at 127.0.0.1:1"), "%s", err.text);
    tally_close(producer, 0, NULL);
    cr_assert_not_null(strstr(said.error, "no broker answers at 127.0.0.1:1"), "%s", said.error);
}

Test(said, a_close_with_a_spool_is_no_alarm)
{
    const char *path = new_directory();
    struct said said = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct tally_producer *producer = open_with("127.0.0.1:1", HOOKS(&said), "spool.dir", path);
    cr_assert_eq(publish_one(producer, NULL), TALLY_OK);
    tally_close(producer, 200, NULL);
    cr_assert_eq(count_in(&said, "Purged"), 0, "%s", said.lines);
    cr_assert_eq(count_in(&said, "refused an event"), 0, "%s", said.lines);
    remove_directory(path);
}

Test(said, topics_and_servers_that_cannot_be_are_refused_at_open)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {{"topics.events", "analytics events", "no topic can have this name"},
                 {"topics.events", "..", "no topic can have this name"},
                 {"topics.events", "a/b", "no topic can have this name"},
                 {"topics.events", "\xc3\xa4", "no topic can have this name"},
                 {"kafka.bootstrap.servers", "", "kafka.bootstrap.servers"},
                 {"kafka.bootstrap.servers", " , ", "kafka.bootstrap.servers"},
                 {"kafka.bootstrap.servers", "me:hunter2@127.0.0.1:1", "kafka.sasl.username"},
                 {"kafka.sasl.oauthbearer.token.endpoint.url", "https://me:hunter2@idp/token", "kafka.sasl.oauthbearer.client.id"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tally_setting settings[] = {
            {"kafka.bootstrap.servers", "127.0.0.1:1"}, {cases[i].key, cases[i].value}, {NULL, NULL}};
        struct tally_error err = {0};
        cr_assert_null(tally_open(settings, NULL, &err), "%s = %s", cases[i].key, cases[i].value);
        cr_assert_eq(err.code, TALLY_INVALID);
        cr_assert_not_null(strstr(err.text, cases[i].text), "%s", err.text);
        cr_assert_null(strstr(err.text, "hunter2"), "%s", err.text);
    }
}

Test(said, a_setting_that_is_forced_is_refused_and_not_overwritten)
{
    const char *path = new_directory();
    struct tally_setting settings[] = {
        {"kafka.bootstrap.servers", "127.0.0.1:1"}, {"spool.dir", path}, {"kafka.message.timeout.ms", "1000"}, {NULL, NULL}};
    struct tally_error err = {0};
    cr_assert_null(tally_open(settings, NULL, &err));
    cr_assert_eq(err.code, TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "kafka.message.timeout.ms"), "%s", err.text);
    remove_directory(path);
}

static void refuse_produce(struct broker *broker, rd_kafka_resp_err_t code, int times)
{
    for (int i = 0; i < times; i++)
        rd_kafka_mock_push_request_errors(broker->cluster, 0 /* Produce */, 1, code);
}

Test(rights, events_wait_for_a_right_that_is_missing_and_it_is_named_once)
{
    for (int has_spool = 0; has_spool < 2; has_spool++) {
        struct broker broker = start_broker("analytics-events");
        struct said said = {.mutex = PTHREAD_MUTEX_INITIALIZER};
        const char *path = new_directory();
        refuse_produce(&broker, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 6);
        struct tally_producer *producer =
            open_with(broker.servers, HOOKS(&said), has_spool ? "spool.dir" : "queue.size", has_spool ? path : "4 MiB");
        for (int i = 0; i < 100; i++)
            cr_assert_eq(publish_one(producer, NULL), TALLY_OK);
        struct tally_counts counts;
        cr_assert(tally_close(producer, 60000, &counts), "failed: %s\n%s", said.error, said.lines);
        cr_assert_eq(counts.acknowledged, 100);
        cr_assert_eq(count_in(&said, "has not the right Write on topic analytics-events"), 1, "%s", said.lines);
        cr_assert_eq(count_in(&said, "does not let ANONYMOUS"), 1, "%s", said.lines);
        cr_assert_eq(count_in(&said, "kafka-acls --add --allow-principal"), 1, "%s", said.lines);
        stop_broker(&broker);
        remove_directory(path);
    }
}

Test(rights, a_handle_that_dies_for_want_of_a_right_is_not_replaced_without_end)
{
    struct broker broker = start_broker("analytics-events");
    struct said said = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 0; i < 1000; i++) /* InitProducerId */
        rd_kafka_mock_push_request_errors(broker.cluster, 22, 1, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    struct tally_producer *producer = open_with(broker.servers, HOOKS(&said), "queue.size", "4 MiB");
    cr_assert_eq(publish_one(producer, NULL), TALLY_OK);
    rd_kafka_mock_start_request_tracking(broker.cluster);
    cr_assert(!tally_flush(producer, 4000));
    struct tally_counts counts;
    tally_count(producer, &counts);
    cr_assert_eq(counts.failed, 0, "%s", said.error);
    size_t count, asked = 0;
    rd_kafka_mock_request_t **requests = rd_kafka_mock_get_requests(broker.cluster, &count);
    for (size_t i = 0; i < count; i++)
        asked += rd_kafka_mock_request_api_key(requests[i]) == 22;
    rd_kafka_mock_request_destroy_array(requests, count);
    cr_assert(asked > 1 && asked < 20, "%zu in four seconds", asked);
    cr_assert_eq(count_in(&said, "has not the right Write (or IdempotentWrite on the cluster) on topic analytics-events"), 1, "%s",
                 said.lines);
    rd_kafka_mock_clear_request_errors(broker.cluster, 22);
    cr_assert(tally_close(producer, 30000, NULL), "%s", said.error);
    stop_broker(&broker);
}

Test(sizes, a_batch_that_the_topic_does_not_take_is_sent_in_smaller_ones)
{
    struct broker broker = start_broker("analytics-events");
    struct said said = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    refuse_produce(&broker, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 3);
    struct tally_producer *producer = open_with(broker.servers, HOOKS(&said), "kafka.linger.ms", "50");
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(publish_one(producer, NULL), TALLY_OK);
    struct tally_counts counts;
    cr_assert(tally_close(producer, 60000, &counts), "failed: %s\n%s", said.error, said.lines);
    cr_assert_eq(counts.acknowledged, 2000);
    stop_broker(&broker);
}

Test(mistake, a_change_after_a_successful_publish_is_named_by_the_next)
{
    struct tally_producer *producer = open_with(NULL, NULL, "queue.size", "4 MiB");
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    for (int setter = 0; setter < 9; setter++) {
        tally_event_begin(event, "login");
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK);
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK, "the same again is harmless");
        switch (setter) {
        case 0: tally_event_int(event, "a", 1); break;
        case 1: tally_event_session(event, "s"); break;
        case 2: tally_event_user(event, 5); break;
        case 3: tally_event_created(event, 5); break;
        case 4: tally_event_category(event, "business"); break;
        case 5: tally_event_internal(event, true); break;
        case 6: tally_event_map(event, "m"); break;
        case 7: tally_event_session(event, NULL); break;
        default: tally_event_text(event, "t", "x");
        }
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID, "setter %d", setter);
        cr_assert_not_null(strstr(err.text, "already published"), "%s", err.text);
    }
    tally_event_begin(event, "login");
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK);
    cr_assert(tally_close(producer, 20000, NULL));
    tally_event_free(event);
}

Test(mistake, times_that_no_worker_takes_are_refused)
{
    static const int64_t good[] = {0, -62135596800000000, 253402300799999999};
    static const int64_t wrong[] = {INT64_MIN, INT64_MAX, -62135596800000001, 253402300800000000};
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "queue.size", "4 MiB");
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    for (size_t i = 0; i < 3; i++) {
        tally_event_begin(event, "login");
        tally_event_created(event, good[i]);
        tally_event_time(event, "when", good[i]);
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK, "%s", err.text);
    }
    for (size_t i = 0; i < 4; i++)
        for (int which = 0; which < 2; which++) {
            tally_event_begin(event, "login");
            which == 0 ? tally_event_created(event, wrong[i]) : tally_event_time(event, "when", wrong[i]);
            cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
            cr_assert_not_null(strstr(err.text, which == 0 ? "created_at" : "'when'"), "%s", err.text);
        }
    tally_close(producer, 0, NULL);
    tally_event_free(event);
}

Test(mistake, hooks_without_a_size_are_refused)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "127.0.0.1:1"}, {NULL, NULL}};
    struct tally_hooks hooks = {.delivered = on_delivered};
    struct tally_error err = {0};
    cr_assert_null(tally_open(settings, &hooks, &err));
    cr_assert_eq(err.code, TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "size"), "%s", err.text);
}

Test(mistake, a_null_producer_and_a_null_event_are_harmless_in_every_call)
{
    struct tally_error err = {0};
    struct tally_counts counts = {.accepted = 5};
    uint8_t id[TALLY_ID_BYTES];
    char text[TALLY_ID_TEXT_BYTES];
    struct tally_event *event = tally_event_new();
    tally_event_begin(event, "login");
    cr_assert_eq(tally_publish(NULL, event, &err), TALLY_FAILED);
    cr_assert_eq(tally_check(NULL, 10, NULL, &err), TALLY_FAILED);
    tally_count(NULL, &counts);
    cr_assert_eq(counts.accepted, 0);
    cr_assert(tally_flush(NULL, 10));
    cr_assert(tally_stop(NULL, 10, &counts));
    cr_assert(tally_close(NULL, 10, &counts));
    tally_event_free(event);
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "queue.size", "4 MiB");
    cr_assert_eq(tally_publish(producer, NULL, &err), TALLY_INVALID);
    tally_count(producer, NULL);
    tally_close(producer, 0, NULL);
    tally_event_begin(NULL, "login");
    tally_event_category(NULL, "c");
    tally_event_session(NULL, "s");
    tally_event_user(NULL, 1);
    tally_event_internal(NULL, true);
    tally_event_created(NULL, 1);
    tally_event_set_id(NULL, id);
    tally_event_id(NULL, id);
    tally_event_id_text(NULL, text);
    tally_event_text(NULL, "k", "v");
    tally_event_text(NULL, "k", NULL);
    tally_event_text_n(NULL, "k", "v", 1);
    tally_event_int(NULL, "k", 1);
    tally_event_uint(NULL, "k", 1);
    tally_event_number(NULL, "k", 1.5);
    tally_event_number(NULL, "k", 1 / 0.0);
    tally_event_bool(NULL, "k", true);
    tally_event_null(NULL, "k");
    tally_event_bytes(NULL, "k", "v", 1);
    tally_event_time(NULL, "k", INT64_MIN);
    tally_event_map(NULL, "k");
    tally_event_array(NULL, "k");
    tally_event_end(NULL);
    tally_event_free(NULL);
}

Test(mistake, null_texts_are_absent_or_named)
{
    struct tally_producer *producer = open_with("127.0.0.1:1", NULL, "queue.size", "4 MiB");
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    tally_event_begin(event, "login");
    tally_event_session(event, "s");
    tally_event_session(event, NULL);
    tally_event_text_n(event, "empty", NULL, 0);
    tally_event_bytes(event, "bytes", NULL, 0);
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK, "%s", err.text);
    tally_event_begin(event, "login");
    tally_event_text_n(event, "k", NULL, 4);
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
    tally_event_begin(event, "login");
    tally_event_bytes(event, "k", NULL, 4);
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
    tally_event_begin(event, "login");
    tally_event_set_id(event, NULL);
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
    tally_close(producer, 0, NULL);
    tally_event_free(event);
}

Test(descriptors, all_that_the_library_opens_close_on_exec)
{
    const char *path = new_directory();
    struct broker broker = start_broker("analytics-events");
    int before[256] = {0};
    for (int file = 0; file < 256; file++)
        before[file] = fcntl(file, F_GETFD);
    struct tally_producer *producer = open_with(broker.servers, NULL, "spool.dir", path);
    publish_one(producer, NULL);
    cr_assert(tally_flush(producer, 20000));
    unsigned found = 0;
    for (int file = 0; file < 256; file++) {
        int flags = fcntl(file, F_GETFD);
        if (before[file] >= 0 || flags < 0)
            continue;
        char link[64], target[256] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        (void)!readlink(link, target, sizeof target - 1);
        if (strncmp(target, "socket:", 7) == 0 && (flags & FD_CLOEXEC) == 0)
            continue; /* the mock broker's own end of a connection */
#ifndef RDKAFKA_IS_BUNDLED
        if (strncmp(target, "pipe:", 5) == 0)
            continue; /* a librdkafka of the system's makes its pipes itself; ours is linked with pipe_cloexec.c */
#endif
        found++;
        cr_assert(flags & FD_CLOEXEC, "%s stays open in what the application starts", target);
    }
    cr_assert_geq(found, 4);
    tally_close(producer, 20000, NULL);
    cr_assert_eq(count_segments(path), 0);
    stop_broker(&broker);
    remove_directory(path);
}
