/* producer_api.c - what goes beside an event and comes back with it (tag, fate, header), and events that come as msgpack. */
#include <criterion/criterion.h>

#include <math.h>
#include <msgpack.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <tallymill/producer.h>

#include "common/clock.h"
#include "producer/library/event.h"
#include "producer_directory.h"
#include "producer_told.h"

static const char nobody[] = "127.0.0.1:1";

Test(tag, comes_back_in_the_delivery_report_with_and_without_a_spool)
{
    const uint64_t pointer = (UINT64_C(1) << 47) + 12345;
    for (int has_spool = 0; has_spool < 2; has_spool++) {
        const char *path = new_directory();
        struct told told = {0};
        struct tally_producer *producer =
            open_with(NULL, &told, has_spool ? "spool.dir" : "queue.size", has_spool ? path : "4 MiB", NULL, NULL);
        publish_tagged(producer, pointer, 50);
        cr_assert(tally_close(producer, 20000, NULL));
        check_tags(&told, pointer, 50);
        cr_assert_eq(told.count[TALLY_ACKNOWLEDGED], 50);
        remove_directory(path);
    }
}

Test(tag, of_a_former_process_is_not_given_to_this_one)
{
    const char *path = new_directory();
    struct told told = {0};
    struct tally_producer *producer = open_with(nobody, &told, "spool.dir", path, NULL, NULL);
    publish_tagged(producer, 100, 5);
    tally_close(producer, 0, NULL);
    producer = open_with(NULL, &told, "spool.dir", path, NULL, NULL);
    publish_tagged(producer, 200, 5);
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq(told.count[TALLY_ACKNOWLEDGED], 10);
    check_tags(&told, 200, 5);
    remove_directory(path);
}

Test(tag, beyond_its_limit_is_a_mistake)
{
    struct tally_event *event = tally_event_new();
    struct tally_producer *producer = open_with(nobody, NULL, "queue.size", "4 MiB", NULL, NULL);
    tally_event_begin(event, "login");
    tally_event_tag(event, UINT64_C(1) << 55);
    cr_assert_eq(tally_publish(producer, event, NULL), TALLY_INVALID);
    tally_close(producer, 0, NULL);
    tally_event_free(event);
}

Test(fate, says_why_an_event_was_given_up)
{
    struct told told = {0};
    struct tally_producer *producer = open_with(nobody, &told, "kafka.message.timeout.ms", "300", NULL, NULL);
    publish_tagged(producer, 7, 3);
    cr_assert(tally_flush(producer, 20000));
    cr_assert_eq(told.count[TALLY_TIMED_OUT], 3);
    publish_tagged(producer, 10, 2);
    tally_close(producer, 0, NULL);
    cr_assert_eq(told.count[TALLY_CLOSED], 2);
    check_tags(&told, 7, 5);
}

Test(fate, of_what_a_full_spool_drops_is_told_with_its_bytes)
{
    const char *path = new_directory();
    struct tally_setting settings[] = {
        {"kafka.bootstrap.servers", nobody}, {"spool.dir", path}, {"spool.size", "1 MiB"}, {"spool.full", "drop_oldest"},
        {"publish.timeout.ms", "5000"},      {NULL, NULL}};
    struct told told = {0};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .context = &told};
    struct tally_producer *producer = tally_open(settings, &hooks, NULL);
    cr_assert_not_null(producer);
    publish_tagged(producer, 1, 30000);
    struct tally_counts counts;
    tally_close(producer, 0, &counts);
    cr_assert_gt(counts.dropped, 1000);
    cr_assert_eq((uint64_t)told.count[TALLY_DROPPED], counts.dropped);
    for (int i = 0; i < TOLD_MAX; i++)
        cr_assert_eq(told.tags[i], (uint64_t)i + 1, "the oldest first");
    cr_assert_eq(counts.failed, counts.dropped);
    remove_directory(path);
}

Test(bytes, of_a_failed_event_are_sent_again_as_they_were)
{
    struct told told = {0}, again = {0};
    struct tally_producer *producer = open_with(nobody, &told, "queue.size", "4 MiB", NULL, NULL);
    publish_tagged(producer, 1, 1);
    tally_close(producer, 0, NULL);
    cr_assert_eq(told.count[TALLY_CLOSED], 1);
    producer = open_with(NULL, &again, "queue.size", "4 MiB", NULL, NULL);
    struct tally_error err;
    cr_assert_eq(tally_publish_bytes(producer, told.key, told.key_length, told.value, told.value_length, 9, &err), TALLY_OK, "%s",
                 err.text);
    cr_assert_eq(tally_publish_bytes(producer, NULL, 0, told.value, told.value_length, 10, &err), TALLY_OK, "%s", err.text);
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq(again.value_length, told.value_length);
    cr_assert_arr_eq(again.value, told.value, told.value_length);
    cr_assert_eq(again.key_length, 3);
    cr_assert_arr_eq(again.key, "one", 3);
    cr_assert_arr_eq(again.id, told.id, TALLY_ID_BYTES);
    check_tags(&again, 9, 2);
}

static void pack_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str_with_body(packer, text, strlen(text));
}

/* A whole event, whose keys are in another order than ours; `damage` makes one thing of it wrong. */
static void pack_event(msgpack_sbuffer *buffer, int damage)
{
    static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16};
    msgpack_packer packer;
    msgpack_sbuffer_clear(buffer);
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, damage == 1 ? 3 : 4);
    pack_text(&packer, "created_at");
    msgpack_pack_int64(&packer, damage == 2 ? INT64_MIN : 1768469400000000);
    pack_text(&packer, "event_name");
    pack_text(&packer, damage == 3 ? "" : "login");
    pack_text(&packer, "event_data");
    msgpack_pack_map(&packer, damage == 4 ? 2 : 1);
    pack_text(&packer, "method");
    damage == 5 ? msgpack_pack_double(&packer, NAN) : pack_text(&packer, damage == 6 ? "\xff" : "email");
    if (damage == 4) {
        pack_text(&packer, "method");
        pack_text(&packer, "again");
    }
    if (damage == 1)
        return;
    pack_text(&packer, "id");
    msgpack_pack_bin_with_body(&packer, id, sizeof id);
}

Test(bytes, of_another_packer_are_checked_by_the_workers_rules)
{
    static const char *const reasons[] = {NULL, "missing", "range", "len", "dup_key", "nonfinite", "utf8"};
    struct told told = {0};
    struct tally_producer *producer = open_with(NULL, &told, "queue.size", "4 MiB", NULL, NULL);
    struct tally_error err;
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    for (int damage = 0; damage < 7; damage++) {
        pack_event(&buffer, damage);
        enum tally_code code = tally_publish_bytes(producer, NULL, 0, buffer.data, buffer.size, 0, &err);
        cr_assert_eq(code, damage == 0 ? TALLY_OK : TALLY_INVALID, "damage %d: %s", damage, err.text);
        cr_assert(damage == 0 || strstr(err.text, reasons[damage]) != NULL, "damage %d: %s", damage, err.text);
        for (size_t length = 0; length < buffer.size; length++)
            cr_assert_eq(tally_publish_bytes(producer, NULL, 0, buffer.data, length, 0, NULL), TALLY_INVALID);
    }
    cr_assert(tally_close(producer, 20000, NULL));
    cr_assert_eq(told.count[TALLY_ACKNOWLEDGED], 1);
    cr_assert_eq(told.id[0], 1, "found behind the other keys");
    cr_assert_eq(told.key_length, TALLY_ID_BYTES, "its own id, for want of a session");
    msgpack_sbuffer_destroy(&buffer);
}

Test(bytes, of_event_data_go_in_beside_typed_attributes)
{
    struct tally_producer *producer = open_with(NULL, NULL, "queue.size", "4 MiB", NULL, NULL);
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    pack_text(&packer, "method");
    pack_text(&packer, "email");
    pack_text(&packer, "seconds");
    msgpack_pack_double(&packer, 1.5);
    for (int fault = 0; fault < 6; fault++) {
        tally_event_begin(event, "login");
        tally_event_int(event, fault == 1 ? "method" : "before", 1);
        if (fault == 4)
            tally_event_array(event, "list");
        tally_event_data(event, buffer.data, buffer.size - (fault == 2));
        if (fault == 3)
            tally_event_data(event, "\x91\x01", 2);
        if (fault == 5)
            tally_event_data(event, NULL, 3);
        tally_event_int(event, "behind", 2);
        if (fault == 4)
            tally_event_end(event);
        cr_assert_eq(tally_publish(producer, event, &err), fault == 0 ? TALLY_OK : TALLY_INVALID, "fault %d: %s", fault, err.text);
        cr_assert(fault != 1 || strstr(err.text, "dup_key") != NULL, "%s", err.text);
    }
    cr_assert(tally_close(producer, 20000, NULL));
    tally_event_free(event);
    msgpack_sbuffer_destroy(&buffer);
}

/* The header `name` of the first `count` messages of the topic, as read by librdkafka's own consumer. */
static int count_headers(const char *servers, int count, const char *name, const char *value)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", servers, reason, sizeof reason);
    rd_kafka_conf_set(conf, "group.id", "reader", reason, sizeof reason);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
    for (int i = 0; i < 2; i++)
        rd_kafka_topic_partition_list_add(list, "analytics-events", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    int found = 0;
    int64_t deadline_us = clock_now_us() + 20 * CLOCK_SECOND_US;
    for (int got = 0; got < count && clock_now_us() < deadline_us;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message == NULL)
            continue;
        rd_kafka_headers_t *headers;
        const void *bytes;
        size_t size;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            got++;
            if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                rd_kafka_header_get_last(headers, name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR && size == strlen(value) &&
                memcmp(bytes, value, size) == 0)
                found++;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return found;
}

Test(header, travels_with_its_event_through_the_spool_and_when_it_is_sent_again)
{
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (int has_spool = 0; has_spool < 2; has_spool++) {
        char reason[256];
        const char *path = new_directory();
        rd_kafka_t *owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), reason, sizeof reason);
        rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
        rd_kafka_mock_topic_create(cluster, "analytics-events", 2, 1);
        rd_kafka_mock_push_request_errors(cluster, 0, 1,
                                          RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED); /* all is held, and sent again */
        struct tally_producer *producer = open_with(rd_kafka_mock_cluster_bootstraps(cluster), NULL,
                                                    has_spool ? "spool.dir" : "queue.size", has_spool ? path : "4 MiB", NULL, NULL);
        struct tally_event *event = tally_event_new();
        for (int i = 0; i < 20; i++) {
            tally_event_begin(event, "login");
            if (i % 2 == 0)
                tally_event_header(event, "traceparent", trace);
            cr_assert_eq(tally_publish(producer, event, NULL), TALLY_OK);
        }
        cr_assert(tally_close(producer, 30000, NULL));
        cr_assert_eq(count_headers(rd_kafka_mock_cluster_bootstraps(cluster), 20, "traceparent", trace), 10);
        tally_event_free(event);
        rd_kafka_mock_cluster_destroy(cluster);
        rd_kafka_destroy(owner);
        remove_directory(path);
    }
}

Test(header, that_cannot_be_is_a_mistake)
{
    struct tally_producer *producer = open_with(nobody, NULL, "queue.size", "4 MiB", NULL, NULL);
    struct tally_event *event = tally_event_new();
    static char large[5000];
    memset(large, 'x', sizeof large - 1);
    for (int fault = 0; fault < 4; fault++) {
        tally_event_begin(event, "login");
        tally_event_header(event, fault == 0 ? "" : fault == 1 ? NULL : "name", fault == 2 ? large : "value");
        for (int i = 0; fault == 3 && i < 300; i++)
            tally_event_header(event, "many", "0123456789");
        cr_assert_eq(tally_publish(producer, event, NULL), TALLY_INVALID, "fault %d", fault);
    }
    tally_close(producer, 0, NULL);
    tally_event_free(event);
}

Test(header, with_lengths_is_the_same_as_with_a_nul)
{
    struct tally_event *one = tally_event_new(), *other = tally_event_new();
    struct event_message a, b;
    tally_event_begin(one, "login");
    tally_event_header_n(one, "traceparent and more", 11, "value and more", 5);
    tally_event_header_n(one, "empty", 5, NULL, 0);
    tally_event_begin(other, "login");
    tally_event_header(other, "traceparent", "value");
    tally_event_header(other, "empty", NULL);
    cr_assert(event_encode(one, &a, NULL) && event_encode(other, &b, NULL));
    cr_assert_eq(a.extra_length, b.extra_length);
    cr_assert_arr_eq(a.extra, b.extra, a.extra_length);
    tally_event_begin(one, "login");
    tally_event_header_n(one, NULL, 3, "value", 5);
    cr_assert_not(event_encode(one, &a, NULL));
    tally_event_free(one);
    tally_event_free(other);
}

/* As an application has it that was built against a later release: its struct is longer. */
struct longer_counts {
    struct tally_counts counts;
    uint64_t later;
};

Test(size, of_counts_says_how_much_is_filled_and_what_lies_behind_is_left_alone)
{
    struct tally_producer *producer = open_with(nobody, NULL, "queue.size", "4 MiB", NULL, NULL);
    publish_tagged(producer, 1, 3);
    struct longer_counts given[] = {{TALLY_COUNTS_INIT, 77},
                                    {{0}, 77},
                                    {{.size = 8, .failed = 5}, 77},
                                    {{.size = SIZE_MAX}, 77},
                                    {{.size = sizeof *given}, 77}};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        size_t size = given[i].counts.size;
        tally_count(producer, &given[i].counts);
        cr_assert_eq(given[i].counts.accepted, 3);
        cr_assert_eq(given[i].counts.failed, 0);
        cr_assert_eq(given[i].counts.size, size, "the caller's");
        cr_assert_eq(given[i].later, 77);
    }
    struct longer_counts last = {TALLY_COUNTS_INIT, 77};
    last.counts.size = sizeof last;
    cr_assert_not(tally_close(producer, 0, &last.counts));
    cr_assert_eq(last.counts.failed, 3);
    cr_assert_eq(last.counts.size, sizeof last);
    cr_assert_eq(last.later, 77);
}

Test(size, of_an_error_is_the_callers_and_stays)
{
    struct {
        struct tally_error err;
        uint64_t later;
    } given = {TALLY_ERROR_INIT, 77};
    given.err.size = sizeof given;
    cr_assert_null(tally_open(NULL, NULL, &given.err));
    cr_assert_eq(given.err.code, TALLY_INVALID);
    cr_assert_neq(given.err.text[0], '\0');
    cr_assert_eq(given.err.size, sizeof given);
    cr_assert_eq(given.later, 77);
}

static void on_sized(void *context, const struct tally_delivery *delivery)
{
    *(size_t *)context = delivery->size;
}

Test(size, of_a_delivery_is_what_the_library_filled)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", nobody}, {NULL, NULL}};
    size_t size = 0;
    struct tally_hooks hooks = TALLY_HOOKS_INIT;
    hooks.delivered = on_sized;
    hooks.context = &size;
    struct tally_producer *producer = tally_open(settings, &hooks, NULL);
    publish_tagged(producer, 1, 1);
    tally_close(producer, 0, NULL);
    cr_assert_eq(size, sizeof(struct tally_delivery));
}

Test(size, of_hooks_that_is_none_is_refused)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", nobody}, {NULL, NULL}};
    struct tally_error err = TALLY_ERROR_INIT;
    for (size_t size = 0; size < offsetof(struct tally_hooks, context) + sizeof(void *); size += 8) {
        struct tally_hooks hooks = {.size = size};
        cr_assert_null(tally_open(settings, &hooks, &err));
        cr_assert_eq(err.code, TALLY_INVALID);
        cr_assert_not_null(strstr(err.text, "hooks.size"));
    }
}
