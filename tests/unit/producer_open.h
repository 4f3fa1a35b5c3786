/* producer_open.h - a producer with one setting of the test's, and an event for it. */
#ifndef TALLYMILL_TEST_PRODUCER_OPEN_H
#define TALLYMILL_TEST_PRODUCER_OPEN_H

#include <criterion/criterion.h>

#include <tallymill/producer.h>

/* servers NULL: librdkafka's mock broker. */
static inline struct tally_producer *open_with(const char *servers, const struct tally_hooks *hooks, const char *key,
                                               const char *value)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", servers == NULL ? "ignored:1" : servers},
                                       {servers == NULL ? "kafka.test.mock.num.brokers" : "kafka.client.id", "1"},
                                       {"kafka.allow.auto.create.topics", servers == NULL ? "true" : "false"},
                                       {key, value},
                                       {NULL, NULL}};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, hooks, &err);
    cr_assert_not_null(producer, "%s", err.text);
    return producer;
}

static inline enum tally_code publish_one(struct tally_producer *producer, struct tally_error *err)
{
    struct tally_event *event = tally_event_new();
    tally_event_begin(event, "login");
    enum tally_code code = tally_publish(producer, event, err);
    tally_event_free(event);
    return code;
}

#endif
