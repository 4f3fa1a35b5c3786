/* producer_library.c - the library against librdkafka's mock brokers: fates, a full queue, a dead handle, a close without Kafka.
 *
 * The mock checks no sequence numbers, so this proves that nothing is lost or told twice on our side; the integration tests prove
 * the rest.
 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/library/channel.h"

/* The mock makes the topic when it is asked for; newer releases only if the client asks for that too. */
static const struct tally_setting mock[] = {{"kafka.bootstrap.servers", "ignored:1"},
                                            {"kafka.test.mock.num.brokers", "1"},
                                            {"kafka.allow.auto.create.topics", "true"},
                                            {"kafka.linger.ms", "1"},
                                            {NULL, NULL}};
static const struct tally_setting nobody[] = {{"kafka.bootstrap.servers", "127.0.0.1:1"},
                                              {"kafka.queue.buffering.max.messages", "5"},
                                              {"queue.size", "256 KiB"},
                                              {"publish.timeout.ms", "50"},
                                              {NULL, NULL}};

struct fates {
    atomic_int acknowledged, failed, logged;
    int64_t last_offset[64];
    uint8_t last_id[TALLY_ID_BYTES];
};

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct fates *fates = context;
    memcpy(fates->last_id, delivery->id, sizeof fates->last_id);
    if (delivery->error != NULL) {
        cr_assert_eq(delivery->topic_partition, -1);
        cr_assert_gt(delivery->value_length, 50);
        fates->failed++;
    } else {
        cr_assert(delivery->topic_partition >= 0 && delivery->offset >= 0);
        fates->acknowledged++;
    }
}

static void on_log(void *context, int level, const char *text)
{
    (void)level, (void)text;
    ((struct fates *)context)->logged++;
}

static struct tally_producer *open_with(const struct tally_setting *settings, struct fates *fates)
{
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .log = on_log, .context = fates};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, fates == NULL ? NULL : &hooks, &err);
    cr_assert_not_null(producer, "%s", err.text);
    return producer;
}

Test(library, every_event_is_acknowledged_once_and_told_to_the_hook)
{
    enum { EVENTS = 1000 };
    struct fates fates = {0};
    struct tally_producer *producer = open_with(mock, &fates);
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    for (int i = 0; i < EVENTS; i++) {
        tally_event_begin(event, "login");
        tally_event_session(event, "one-session");
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK, "%s", err.text);
    }
    uint8_t id[TALLY_ID_BYTES];
    tally_event_id(event, id);
    cr_assert(tally_flush(producer, 20000));
    struct tally_counts counts;
    tally_count(producer, &counts);
    cr_assert_eq(counts.accepted, EVENTS);
    cr_assert_eq(counts.acknowledged, EVENTS);
    cr_assert_eq(fates.acknowledged, EVENTS);
    cr_assert_arr_eq(fates.last_id, id, sizeof id, "a session's events come back in order, the last one last");
    cr_assert(tally_close(producer, 10000, NULL));
    tally_event_free(event);
}

static void *publish_many(void *context)
{
    struct tally_event *event = tally_event_new();
    for (int i = 0; i < 2000; i++) {
        tally_event_begin(event, "login");
        cr_assert_eq(tally_publish(context, event, NULL), TALLY_OK);
    }
    tally_event_free(event);
    return NULL;
}

Test(library, serves_many_threads_at_once)
{
    struct fates fates = {0};
    struct tally_producer *producer = open_with(mock, &fates);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_many, producer), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct tally_counts counts;
    cr_assert(tally_close(producer, 20000, &counts));
    cr_assert_eq(counts.acknowledged, 8000);
    cr_assert_eq(fates.acknowledged, 8000);
}

Test(library, a_full_queue_answers_in_time_and_close_tells_what_was_not_delivered)
{
    struct fates fates = {0};
    struct tally_producer *producer = open_with(nobody, &fates);
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    int accepted = 0;
    enum tally_code code;
    tally_event_begin(event, "login");
    while ((code = tally_publish(producer, event, &err)) == TALLY_OK && accepted < 100000)
        accepted++;
    cr_assert_eq(code, TALLY_FULL, "%s", err.text);
    cr_assert(accepted > 1000, "%d", accepted);
    struct tally_counts counts;
    cr_assert(!tally_flush(producer, 50));
    cr_assert(!tally_close(producer, 50, &counts));
    cr_assert_eq((int)counts.accepted, accepted);
    cr_assert_eq((int)counts.failed, accepted);
    cr_assert_eq(fates.failed, accepted, "each with its bytes");
    tally_event_free(event);
}

static void *publish_until_stopped(void *context)
{
    struct tally_event *event = tally_event_new();
    enum tally_code code = TALLY_OK;
    while (code == TALLY_OK || code == TALLY_FULL) {
        tally_event_begin(event, "login");
        code = tally_publish(context, event, NULL);
    }
    tally_event_free(event);
    return (void *)(uintptr_t)code;
}

Test(library, is_stopped_while_threads_publish_and_tells_every_fate)
{
    struct fates fates = {0};
    struct tally_producer *producer = open_with(mock, &fates);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, publish_until_stopped, producer), 0);
    struct tally_counts counts;
    int64_t deadline_us = clock_now_us() + 30 * CLOCK_SECOND_US;
    do {
        tally_flush(producer, 1);
        tally_count(producer, &counts);
    } while (counts.accepted < 1000 && clock_now_us() < deadline_us);
    tally_stop(producer, 20000, &counts);
    for (int i = 0; i < 8; i++) {
        void *code;
        pthread_join(threads[i], &code);
        cr_assert_eq((uintptr_t)code, TALLY_FAILED);
    }
    cr_assert(counts.accepted > 0);
    cr_assert_eq(counts.accepted, counts.acknowledged + counts.failed);
    cr_assert_eq(fates.acknowledged + fates.failed, (int)counts.accepted);
    cr_assert_eq(tally_check(producer, 100, NULL, NULL), TALLY_FAILED);
    tally_close(producer, 0, NULL);
}

Test(library, a_forked_child_is_refused_and_the_parent_goes_on)
{
    struct fates fates = {0};
    struct tally_producer *producer = open_with(mock, &fates);
    struct tally_event *event = tally_event_new();
    tally_event_begin(event, "login");
    cr_assert_eq(tally_publish(producer, event, NULL), TALLY_OK);
    pid_t child = fork();
    if (child == 0) {
        struct tally_error err;
        bool is_good = tally_publish(producer, event, &err) == TALLY_FAILED && strstr(err.text, "fork") != NULL &&
                       !tally_flush(producer, 1000) && tally_check(producer, 1000, NULL, NULL) == TALLY_FAILED &&
                       !tally_close(producer, 1000, NULL);
        _exit(is_good ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    tally_event_begin(event, "login");
    cr_assert_eq(tally_publish(producer, event, NULL), TALLY_OK);
    struct tally_counts counts;
    cr_assert(tally_close(producer, 20000, &counts));
    cr_assert_eq(counts.acknowledged, 2);
    tally_event_free(event);
}

Test(library, an_event_larger_than_kafka_takes_is_told_at_once)
{
    struct tally_setting small[8];
    memcpy(small, mock, sizeof mock);
    small[4] = (struct tally_setting){"kafka.message.max.bytes", "1000"};
    small[5] = (struct tally_setting){NULL, NULL};
    struct tally_producer *producer = open_with(small, NULL);
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    tally_event_begin(event, "login");
    tally_event_text(event, "action", text);
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "message.max.bytes"));
    cr_assert(tally_close(producer, 1000, NULL));
    tally_event_free(event);
}

Test(library, a_check_says_that_no_broker_answers_and_why)
{
    struct tally_producer *producer = open_with(nobody, &(struct fates){0});
    struct tally_error err;
    cr_assert_eq(tally_check(producer, 500, NULL, &err), TALLY_FAILED);
    cr_assert_not_null(strstr(err.text, "Connection refused"), "%s", err.text);
    tally_close(producer, 0, NULL);
}

Test(library, refuses_wrong_events_before_they_are_queued)
{
    struct tally_setting strict[8];
    memcpy(strict, mock, sizeof mock);
    strict[4] = (struct tally_setting){"catalogue.unknown", "reject"};
    strict[5] = (struct tally_setting){NULL, NULL};
    struct tally_producer *lenient = open_with(mock, NULL), *producer = open_with(strict, NULL);
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    tally_event_begin(event, "no_such_event");
    cr_assert_eq(tally_publish(producer, event, &err), TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "no_such_event"));
    cr_assert_eq(tally_publish(lenient, event, &err), TALLY_OK);
    tally_event_begin(event, "login");
    tally_event_category(event, "system");
    cr_assert_eq(tally_publish(lenient, event, &err), TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "'business'"), "%s", err.text);
    tally_event_begin(event, "login");
    tally_event_user(event, -1);
    cr_assert_eq(tally_publish(producer, event, NULL), TALLY_INVALID);
    struct tally_counts counts;
    tally_close(producer, 1000, &counts);
    cr_assert_eq(counts.accepted, 0);
    cr_assert(tally_close(lenient, 20000, &counts));
    cr_assert_eq(counts.acknowledged, 1);
    tally_event_free(event);
}

Test(library, refuses_wrong_settings_by_name)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {{"kafka.acks", "1", "kafka.acks cannot be set"},
                 {"kafka.enable.idempotence", "true", "cannot be set"},
                 {"kafka.partitioner", "random", "cannot be set"},
                 {"kafka.nope", "1", "kafka.nope"},
                 {"kafka.linger.ms", "soon", "kafka.linger.ms"},
                 {"kafka.linger.ms", NULL, "has no value"},
                 {"kafka.max.in.flight", "9", "kafka settings"},
                 {"publish.timeout.ms", "-1", "publish.timeout.ms"},
                 {"publish.timeout.ms", "5 s", "publish.timeout.ms"},
                 {"queue.size", "1 KiB", "queue.size: 1 KiB is out of range"},
                 {"spool.sync", "eech", "did you mean each"},
                 {"spool.dir", "/nonexistent/spool", "spool.dir = /nonexistent/spool: No such file"},
                 {"catalogue.unknown", "maybe", "catalogue.unknown"},
                 {"catalogue.file", "/nonexistent/file", "/nonexistent/file"},
                 {"topics.event", "x", "unknown setting 'topics.event'"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tally_setting settings[] = {
            {"kafka.bootstrap.servers", "127.0.0.1:1"}, {cases[i].key, cases[i].value}, {NULL, NULL}};
        struct tally_error err = {0};
        cr_assert_null(tally_open(settings, NULL, &err), "%s", cases[i].key);
        cr_assert_eq(err.code, TALLY_INVALID);
        cr_assert_not_null(strstr(err.text, cases[i].text), "'%s' is not in '%s'", cases[i].text, err.text);
    }
    struct tally_error err;
    cr_assert_null(tally_open(NULL, NULL, &err));
    cr_assert_not_null(strstr(err.text, "kafka.bootstrap.servers is not set"));
}

/* -- The channel: a handle that librdkafka declares dead ------------------------------------------------------------------------
 */

struct seen {
    int acknowledged, failed;
};

static void on_message(void *context, const rd_kafka_message_t *message, uint64_t tag, const char *error)
{
    cr_assert_eq(error == NULL, message->err == RD_KAFKA_RESP_ERR_NO_ERROR);
    cr_assert_eq(tag, 77);
    struct seen *seen = context;
    message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? seen->acknowledged++ : seen->failed++;
}

static bool send_one(struct channel *channel, const struct event_message *message)
{
    return channel_send(channel, message, &(uint64_t){77}, 1) == 1;
}

static rd_kafka_conf_t *mock_conf(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[256];
    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", reason, sizeof reason);
    rd_kafka_conf_set(conf, "enable.idempotence", "true", reason, sizeof reason);
    rd_kafka_conf_set(conf, "linger.ms", "300", reason, sizeof reason); /* long enough to die with messages in hand */
    return conf;
}

Test(channel, a_dead_handle_is_replaced_and_what_it_held_is_sent_again)
{
    enum { EVENTS = 500 };
    struct seen seen = {0};
    struct tally_error err;
    struct channel *channel = channel_open(mock_conf(), "events", on_message, NULL, &seen, &err);
    cr_assert_not_null(channel, "%s", err.text);
    struct event_message message = {.key = "k", .key_length = 1, .value = "value", .value_length = 5};
    for (int i = 0; i < EVENTS; i++)
        cr_assert(send_one(channel, &message));
    cr_assert_eq(
        rd_kafka_test_fatal_error(channel_handle(channel), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "the test says so"),
        RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t deadline_us = clock_now_us() + 30 * CLOCK_SECOND_US;
    while (seen.acknowledged + seen.failed < EVENTS && clock_now_us() < deadline_us)
        channel_serve(channel, 20);
    cr_assert_eq(seen.failed, 0);
    cr_assert_eq(seen.acknowledged, EVENTS);
    cr_assert_eq(channel_replacements(channel), 1);
    cr_assert(send_one(channel, &message), "and it goes on");
    channel_close(channel);
    cr_assert_eq(seen.acknowledged + seen.failed, EVENTS + 1, "closing gives up what is left, and says so");
}

Test(channel, a_handle_that_dies_while_idle_is_replaced_too)
{
    struct seen seen = {0};
    struct channel *channel = channel_open(mock_conf(), "events", on_message, NULL, &seen, NULL);
    rd_kafka_test_fatal_error(channel_handle(channel), RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "the test says so");
    int64_t deadline_us = clock_now_us() + 30 * CLOCK_SECOND_US;
    struct event_message message = {.key = "k", .key_length = 1, .value = "value", .value_length = 5};
    while (channel_replacements(channel) == 0 && clock_now_us() < deadline_us)
        channel_serve(channel, 20);
    while (!send_one(channel, &message) && clock_now_us() < deadline_us)
        channel_serve(channel, 20);
    while (seen.acknowledged == 0 && clock_now_us() < deadline_us)
        channel_serve(channel, 20);
    cr_assert_eq(seen.acknowledged, 1);
    channel_close(channel);
}
