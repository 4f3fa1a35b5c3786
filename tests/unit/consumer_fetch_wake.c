/* When an old librdkafka must be woken so that it fetches again. */
#include <criterion/criterion.h>

#include "fetch_wake.h"

Test(fetch_wake, is_due_after_each_quarter_of_the_queue)
{
    struct fetch_wake wake = {.is_needed = true, .every_bytes = 1000, .every_messages = 100};
    cr_expect_not(fetch_wake_is_due(&wake, 999));
    cr_expect(fetch_wake_is_due(&wake, 1));
    cr_expect(fetch_wake_is_due(&wake, 1), "until it was sent");
}

Test(fetch_wake, is_due_after_so_many_messages_of_no_size)
{
    struct fetch_wake wake = {.is_needed = true, .every_bytes = 1000, .every_messages = 3};
    cr_expect_not(fetch_wake_is_due(&wake, 0));
    cr_expect_not(fetch_wake_is_due(&wake, 0));
    cr_expect(fetch_wake_is_due(&wake, 0));
}

Test(fetch_wake, is_not_due_where_the_queue_runs_dry_by_itself)
{
    struct fetch_wake wake = {.is_needed = true, .every_bytes = 1000, .every_messages = 100};
    for (int i = 0; i < 10; i++) {
        cr_expect_not(fetch_wake_is_due(&wake, 900));
        fetch_wake_dry(&wake);
    }
}

Test(fetch_wake, goes_by_the_limits_of_the_configuration_and_the_release)
{
    char why[256];
    struct fetch_wake wake;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "queued.max.messages.kbytes", "4096", why, sizeof why);
    rd_kafka_conf_set(conf, "queued.min.messages", "40000", why, sizeof why);
    fetch_wake_init(&wake, conf);
    cr_expect_eq(wake.every_bytes, 1 << 20);
    cr_expect_eq(wake.every_messages, 10000);
    cr_expect_eq(wake.is_needed, rd_kafka_version() < 0x02020000);
    cr_expect_eq(wake.is_needed, !fetch_wake_has_property());
    rd_kafka_conf_destroy(conf);
}

Test(fetch_wake, does_not_ask_for_each_message_of_a_tiny_queue)
{
    char why[256];
    struct fetch_wake wake;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "queued.max.messages.kbytes", "1", why, sizeof why);
    rd_kafka_conf_set(conf, "queued.min.messages", "1", why, sizeof why);
    fetch_wake_init(&wake, conf);
    wake.is_needed = true;
    cr_expect_not(fetch_wake_is_due(&wake, 300));
    rd_kafka_conf_destroy(conf);
}

/* Also where nobody answers and no leader is known. */
Test(fetch_wake, counts_anew_once_it_has_asked)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    cr_assert_eq(rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", why, sizeof why), RD_KAFKA_CONF_OK);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    cr_assert(handle);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "events", 0);
    struct fetch_wake wake = {.is_needed = true, .every_bytes = 1000, .every_messages = 100, .bytes = 1000, .messages = 100};
    fetch_wake_send(&wake, handle, list);
    cr_expect_not(fetch_wake_is_due(&wake, 999));
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(handle);
}
