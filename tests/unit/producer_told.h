/* producer_told.h - a producer that keeps what its delivery reports told, and tagged events for it. */
#ifndef TALLYMILL_TEST_PRODUCER_TOLD_H
#define TALLYMILL_TEST_PRODUCER_TOLD_H

#include <criterion/criterion.h>
#include <string.h>

#include <tallymill/producer.h>

enum { TOLD_MAX = 64 };

struct told {
    int count[TALLY_DROPPED + 1];
    uint64_t tags[TOLD_MAX];
    int tagged;
    uint8_t value[4096], key[256], id[TALLY_ID_BYTES];
    size_t value_length, key_length;
};

static inline void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct told *told = context;
    cr_assert_eq(delivery->error == NULL, delivery->fate == TALLY_ACKNOWLEDGED);
    told->count[delivery->fate]++;
    if (delivery->tag != 0 && told->tagged < TOLD_MAX)
        told->tags[told->tagged++] = delivery->tag;
    memcpy(told->value, delivery->value, told->value_length = delivery->value_length);
    memcpy(told->key, delivery->key, told->key_length = delivery->key_length);
    memcpy(told->id, delivery->id, TALLY_ID_BYTES);
}

static inline struct tally_producer *open_with(const char *servers, struct told *told, const char *key, const char *value,
                                               const char *key_2, const char *value_2)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", servers == NULL ? "ignored:1" : servers},
                                       {servers == NULL ? "kafka.test.mock.num.brokers" : "kafka.client.id", "1"},
                                       {"kafka.allow.auto.create.topics", servers == NULL ? "true" : "false"},
                                       {key, value},
                                       {key_2, value_2},
                                       {NULL, NULL}};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .context = told};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, told == NULL ? NULL : &hooks, &err);
    cr_assert_not_null(producer, "%s", err.text);
    return producer;
}

static inline void publish_tagged(struct tally_producer *producer, uint64_t first, int count)
{
    struct tally_event *event = tally_event_new();
    struct tally_error err;
    for (int i = 0; i < count; i++) {
        tally_event_begin(event, "login");
        tally_event_session(event, "one");
        tally_event_tag(event, first + (uint64_t)i);
        cr_assert_eq(tally_publish(producer, event, &err), TALLY_OK, "%s", err.text);
    }
    tally_event_free(event);
}

static inline void check_tags(const struct told *told, uint64_t first, int count)
{
    cr_assert_eq(told->tagged, count);
    for (int i = 0; i < count; i++)
        cr_assert_eq(told->tags[i], first + (uint64_t)i);
}

#endif
