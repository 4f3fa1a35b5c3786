/* latency_driver.c - what tests/bench/latency.py runs: events at a fixed rate through the library, and bare librdkafka beside it.
 *
 *     latency-driver ours BROKERS TOPIC EVENTS PER_SECOND LINGER_MS    publishes; created_at is the time at which an event was due
 *     latency-driver bare BROKERS TOPIC EVENTS PER_SECOND LINGER_MS    the same bytes by rd_kafka_produce, and a consumer of
 * librdkafka's defaults that takes each; prints the latencies as JSON, in ms
 *
 * Open loop: an event that is late is sent at once, and its lateness counts. The first two seconds warm up. A message is known by
 * topic partition and offset: the delivery report says which event it was, the consumer when it came.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>
#include <tallymill/producer.h>

#include "bench_event.h"

enum { TOPIC_PARTITIONS_MAX = 64, WARM_UP_S = 2, DEADLINE_S = 60 };

static unsigned events, per_second;
static int64_t *due_us, *came_us[TOPIC_PARTITIONS_MAX];
static struct {
    int32_t topic_partition;
    int64_t offset;
} * place;
static int topic_partitions;
static atomic_uint delivered, taken;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "latency-driver: %s: %s\n", what, why);
    exit(1);
}

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void wait_until(int64_t moment_us)
{
    const struct timespec moment = {.tv_sec = moment_us / 1000000, .tv_nsec = moment_us % 1000000 * 1000};
    if (moment_us > wall_us())
        clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, NULL);
}

static void plan(void)
{
    const int64_t start_us = wall_us() + 500000;
    due_us = calloc(events, sizeof *due_us);
    for (unsigned i = 0; i < events; i++)
        due_us[i] = start_us + (int64_t)i * 1000000 / per_second;
}

/* ---- ours ---- */

static void publish(const char *brokers, const char *topic, const char *linger)
{
    struct tally_setting settings[] = {
        {"kafka.bootstrap.servers", brokers}, {"topics.events", topic}, {"kafka.linger.ms", linger}, {NULL, NULL}};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    struct tally_event *event = tally_event_new();
    if (producer == NULL || tally_check(producer, 10000, NULL, &err) != TALLY_OK)
        fail("open", err.text);
    plan();
    for (unsigned i = 0; i < events; i++) {
        bench_event_build(event, i);
        wait_until(due_us[i]);
        tally_event_created(event, due_us[i]);
        if (tally_publish(producer, event, &err) != TALLY_OK)
            fail("publish", err.text);
    }
    if (!tally_close(producer, DEADLINE_S * 1000, NULL))
        fail("close", "not everything was acknowledged");
    tally_event_free(event);
}

/* ---- bare ---- */

static rd_kafka_t *open_bare(rd_kafka_type_t type, const char *const (*settings)[2],
                             void (*on_delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; (*settings)[0] != NULL; settings++)
        if (rd_kafka_conf_set(conf, (*settings)[0], (*settings)[1], why, sizeof why) != RD_KAFKA_CONF_OK)
            fail("settings", why);
    if (on_delivery != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *handle = rd_kafka_new(type, conf, why, sizeof why);
    if (handle == NULL)
        fail("librdkafka", why);
    return handle;
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle, (void)context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("delivery", rd_kafka_err2str(message->err));
    const size_t event = (size_t)message->_private;
    place[event].topic_partition = message->partition;
    place[event].offset = message->offset;
    atomic_fetch_add(&delivered, 1);
}

static void *poll_deliveries(void *producer)
{
    while (atomic_load(&delivered) < events)
        rd_kafka_poll(producer, 100);
    return NULL;
}

static void *consume(void *consumer)
{
    while (atomic_load(&taken) < events) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message == NULL)
            continue;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            fail("consuming", rd_kafka_message_errstr(message));
        if (message->offset < (int64_t)events) {
            came_us[message->partition][message->offset] = wall_us();
            atomic_fetch_add(&taken, 1);
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void assign(rd_kafka_t *consumer, const char *topic)
{
    rd_kafka_topic_t *named = rd_kafka_topic_new(consumer, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(consumer, 0, named, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topic_cnt != 1)
        fail("topic", "no broker tells of it");
    topic_partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(named);
    if (topic_partitions < 1 || topic_partitions > TOPIC_PARTITIONS_MAX)
        fail("topic", "it has no topic partition, or too many");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topic_partitions);
    for (int i = 0; i < topic_partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = 0;
        came_us[i] = calloc(events, sizeof *came_us[i]);
    }
    if (rd_kafka_assign(consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("topic", "cannot be assigned");
    rd_kafka_topic_partition_list_destroy(list);
}

static int by_size(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_latencies(void)
{
    const unsigned first = WARM_UP_S * per_second;
    double *ms = calloc(events, sizeof *ms);
    unsigned count = 0;
    for (unsigned i = first; i < events; i++)
        ms[count++] = (double)(came_us[place[i].topic_partition][place[i].offset] - due_us[i]) / 1000;
    qsort(ms, count, sizeof *ms, by_size);
    printf("{\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, \"max\": %.3f}\n", ms[count / 2], ms[count * 99UL / 100],
           ms[count * 999UL / 1000], ms[count - 1]);
    free(ms);
}

static void pass_through(const char *brokers, const char *topic, const char *linger)
{
    const char *const producing[][2] = {{"bootstrap.servers", brokers},
                                        {"enable.idempotence", "true"},
                                        {"acks", "all"},
                                        {"partitioner", "murmur2_random"},
                                        {"compression.codec", "lz4"},
                                        {"linger.ms", linger},
                                        {"message.max.bytes", "4194304"},
                                        {NULL, NULL}};
    const char *const consuming[][2] = {
        {"bootstrap.servers", brokers}, {"group.id", "latency-bare"}, {"enable.auto.commit", "false"}, {NULL, NULL}};
    bench_samples_make();
    rd_kafka_t *producer = open_bare(RD_KAFKA_PRODUCER, producing, on_delivery),
               *consumer = open_bare(RD_KAFKA_CONSUMER, consuming, NULL);
    rd_kafka_poll_set_consumer(consumer);
    assign(consumer, topic);
    rd_kafka_topic_t *named = rd_kafka_topic_new(producer, topic, NULL);
    pthread_t poller, taker;
    place = calloc(events, sizeof *place);
    plan();
    pthread_create(&poller, NULL, poll_deliveries, producer);
    pthread_create(&taker, NULL, consume, consumer);
    for (unsigned i = 0; i < events; i++) {
        const struct bench_sample *sample = &bench_samples[i % BENCH_SAMPLES];
        wait_until(due_us[i]);
        if (rd_kafka_produce(named, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)sample->value,
                             sample->value_length, sample->key, sample->key_length, (void *)(uintptr_t)i) != 0)
            fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
    }
    const int64_t limit_us = wall_us() + DEADLINE_S * INT64_C(1000000);
    while ((atomic_load(&taken) < events || atomic_load(&delivered) < events) && wall_us() < limit_us)
        wait_until(wall_us() + 1000);
    if (atomic_load(&taken) < events || atomic_load(&delivered) < events)
        fail("consuming", "not everything came within 60 s");
    pthread_join(poller, NULL);
    pthread_join(taker, NULL);
    print_latencies();
    rd_kafka_topic_destroy(named);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage", "latency-driver ours|bare BROKERS TOPIC EVENTS PER_SECOND LINGER_MS");
    events = (unsigned)strtoul(argv[4], NULL, 10);
    per_second = (unsigned)strtoul(argv[5], NULL, 10);
    if (per_second == 0 || events <= WARM_UP_S * per_second)
        fail("usage", "numbers out of range");
    if (strcmp(argv[1], "ours") == 0)
        publish(argv[2], argv[3], argv[6]);
    else
        pass_through(argv[2], argv[3], argv[6]);
    return 0;
}
