/* publish_driver.c - what tests/bench/publish.py and publish_latency.py run: the library, and bare librdkafka beside it.
 *
 *     publish-driver ours|bare rate    BROKERS TOPIC EVENTS THREADS CODEC      events as fast as they go, until all are
 * acknowledged publish-driver ours|bare latency BROKERS TOPIC EVENTS PER_SECOND CODEC   each event at its intended time; how long
 * the call took publish-driver ours      size                                      bytes of an event's value and key
 *
 * Prints one JSON object. "ours" builds each event anew with typed calls and publishes it; "bare" hands the same bytes, encoded
 * beforehand, to rd_kafka_produce as rdkafka_performance does, with the settings that the library uses. PUBLISH_SPOOL_DIR: ours
 * with a spool.
 *
 * malloc and its kin are counted, by thread: what an event costs there in the thread of the application is a promise (none).
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

enum { THREADS_MAX = 64, DEADLINE_MS = 600000 };

/* -- Allocations of this thread -------------------------------------------------------------------------------------------------
 */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static _Thread_local unsigned long allocations;

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED /* has an allocator of its own */
#endif
#endif
#if !defined IS_SANITIZED && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
#endif

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "publish-driver: %s: %s\n", what, why);
    exit(1);
}

/* -- Two ways to send -----------------------------------------------------------------------------------------------------------
 */

static bool is_ours;
static struct tally_producer *producer;
static rd_kafka_t *bare;
static rd_kafka_topic_t *bare_topic;
static atomic_ulong bare_acknowledged;
static atomic_bool is_polling = true;
static pthread_t poller;

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    (void)handle, (void)context;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("delivery", rd_kafka_err2str(message->err));
    atomic_fetch_add(&bare_acknowledged, 1);
}

static void *poll_bare(void *context)
{
    (void)context;
    while (atomic_load(&is_polling))
        rd_kafka_poll(bare, 100);
    return NULL;
}

static void open_bare(const char *brokers, const char *topic, const char *codec)
{
    const char *const settings[][2] = {{"enable.idempotence", "true"},
                                       {"acks", "all"},
                                       {"partitioner", "murmur2_random"},
                                       {"compression.codec", codec},
                                       {"linger.ms", "5"},
                                       {"queue.buffering.max.messages", "100000"},
                                       {"queue.buffering.max.kbytes", "65536"},
                                       {"message.max.bytes", "4194304"}};
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof reason);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof reason) != RD_KAFKA_CONF_OK)
            fail("settings", reason);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    bare = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (bare == NULL)
        fail("librdkafka", reason);
    bare_topic = rd_kafka_topic_new(bare, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(bare, 0, bare_topic, &metadata, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("brokers", "none answers");
    rd_kafka_metadata_destroy(metadata);
    pthread_create(&poller, NULL, poll_bare, NULL);
}

static void open_ours(const char *brokers, const char *topic, const char *codec)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", brokers},
                                       {"topics.events", topic},
                                       {"kafka.compression.codec", codec},
                                       {"publish.timeout.ms", "1000"},
                                       {NULL, NULL},
                                       {NULL, NULL}};
    if (getenv("PUBLISH_SPOOL_DIR") != NULL)
        settings[4] = (struct tally_setting){"spool.dir", getenv("PUBLISH_SPOOL_DIR")};
    struct tally_error err = TALLY_ERROR_INIT;
    producer = tally_open(settings, NULL, &err);
    if (producer == NULL || tally_check(producer, 10000, NULL, &err) != TALLY_OK)
        fail("open", err.text);
}

/* The call that is measured. False: the queue is full. `err` is made once, as in the header's example: half a kilobyte cleared for
 * each event would be counted as the library's. */
static bool send_one(struct tally_event *event, unsigned number, struct tally_error *err)
{
    if (is_ours) {
        enum tally_code code = tally_publish(producer, event, err);
        if (code != TALLY_OK && code != TALLY_FULL)
            fail("publish", err->text);
        return code == TALLY_OK;
    }
    const struct bench_sample *sample = &bench_samples[number % BENCH_SAMPLES];
    if (rd_kafka_produce(bare_topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)sample->value,
                         sample->value_length, sample->key, sample->key_length, NULL) == 0)
        return true;
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
    return false;
}

static unsigned long acknowledged(void)
{
    if (!is_ours)
        return atomic_load(&bare_acknowledged);
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_count(producer, &counts);
    if (counts.failed > 0)
        fail("delivery", "an event failed");
    return counts.acknowledged;
}

static void finish(unsigned long events)
{
    int64_t deadline_ns = now_ns() + INT64_C(1000000) * DEADLINE_MS;
    if (is_ours)
        tally_flush(producer, DEADLINE_MS);
    else
        rd_kafka_flush(bare, DEADLINE_MS);
    while (acknowledged() < events && now_ns() < deadline_ns)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    if (acknowledged() != events)
        fail("delivery", "not everything was acknowledged");
}

static void close_all(void)
{
    if (is_ours) {
        tally_close(producer, 10000, NULL);
        return;
    }
    atomic_store(&is_polling, false);
    pthread_join(poller, NULL);
    rd_kafka_topic_destroy(bare_topic);
    rd_kafka_destroy(bare);
}

/* -- As fast as it goes ---------------------------------------------------------------------------------------------------------
 */

struct share {
    unsigned first, events;
    unsigned long allocations;
    pthread_t thread;
};

static void *publish_share(void *context)
{
    struct share *share = context;
    struct tally_event *event = tally_event_new();
    struct tally_error err = TALLY_ERROR_INIT;
    unsigned long before = 0;
    for (unsigned i = 0; i < share->events; i++) {
        if (is_ours)
            bench_event_build(event, share->first + i);
        while (!send_one(event, share->first + i, &err))
            if (!is_ours)
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        if (i == 9) /* what the first ones set up stays */
            before = allocations;
    }
    share->allocations = allocations - before;
    tally_event_free(event);
    return NULL;
}

static void measure_rate(unsigned events, unsigned threads)
{
    struct share shares[THREADS_MAX];
    int64_t begin_ns = now_ns();
    for (unsigned i = 0; i < threads; i++) {
        shares[i] = (struct share){.first = i * (events / threads), .events = events / threads};
        pthread_create(&shares[i].thread, NULL, publish_share, &shares[i]);
    }
    unsigned long count = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
        count += shares[i].allocations;
    }
    int64_t handed_ns = now_ns();
    finish((unsigned long)(events / threads) * threads);
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    double seconds = (double)(now_ns() - begin_ns) / 1e9;
    printf("{\"events\": %u, \"seconds\": %.6f, \"handed_over_s\": %.6f, \"rate\": %.0f, \"allocations_per_event\": %.6f, "
           "\"cpu_s\": %.3f}\n",
           events / threads * threads, seconds, (double)(handed_ns - begin_ns) / 1e9, events / threads * threads / seconds,
           (double)count / events, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
}

/* -- At a fixed rate ------------------------------------------------------------------------------------------------------------
 */

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile(const double *sorted, unsigned count, double share)
{
    return sorted[(unsigned)((count - 1) * share)];
}

static void print_quantiles(const char *name, double *values, unsigned count, const char *end)
{
    qsort(values, count, sizeof *values, by_size);
    printf("\"%s\": {\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}%s", name, quantile(values, count, 0.5),
           quantile(values, count, 0.99), quantile(values, count, 0.999), values[count - 1], end);
}

/* Open loop: an event that is late is sent at once, and its lateness counts from the time that was meant. */
static void measure_latency(unsigned events, unsigned per_second)
{
    double *call_us = calloc(events, sizeof *call_us), *late_us = calloc(events, sizeof *late_us);
    struct tally_event *event = tally_event_new();
    struct tally_error err = TALLY_ERROR_INIT;
    int64_t begin_ns = now_ns() + 100000000, timer_ns = 1000000;
    unsigned long before = allocations;
    for (unsigned i = 0; i < events; i++) {
        int64_t due_ns = begin_ns + (int64_t)i * 1000000000 / per_second, now = now_ns();
        if (is_ours)
            bench_event_build(event, i);
        while ((now = now_ns()) < due_ns) { /* spinning: a sleep's own lateness is not what is measured */
        }
        if (!send_one(event, i, &err))
            fail("latency", "the queue is full");
        int64_t end_ns = now_ns(), again_ns = now_ns();
        call_us[i] = (double)(end_ns - now) / 1000;
        late_us[i] = (double)(end_ns - due_ns) / 1000;
        timer_ns = again_ns - end_ns < timer_ns ? again_ns - end_ns : timer_ns;
    }
    double allocated = (double)(allocations - before) / events;
    finish(events);
    printf("{\"events\": %u, \"timer_us\": %.3f, \"allocations_per_event\": %.6f, ", events, (double)timer_ns / 1000, allocated);
    print_quantiles("call_us", call_us, events, ", ");
    print_quantiles("from_intended_us", late_us, events, "}\n");
    free(call_us);
    free(late_us);
    tally_event_free(event);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[2], "size") == 0) {
        bench_samples_make();
        printf("{\"value\": %zu, \"key\": %zu}\n", bench_samples[0].value_length, bench_samples[0].key_length);
        return 0;
    }
    if (argc != 8)
        fail("usage", "publish-driver ours|bare rate|latency BROKERS TOPIC EVENTS THREADS|PER_SECOND CODEC");
    is_ours = strcmp(argv[1], "ours") == 0;
    unsigned events = (unsigned)strtoul(argv[5], NULL, 10), last = (unsigned)strtoul(argv[6], NULL, 10);
    if (events == 0 || last == 0 || (strcmp(argv[2], "rate") == 0 && last > THREADS_MAX))
        fail("usage", "numbers out of range");
    if (is_ours) {
        open_ours(argv[3], argv[4], argv[7]);
    } else {
        bench_samples_make();
        open_bare(argv[3], argv[4], argv[7]);
    }
    if (strcmp(argv[2], "rate") == 0)
        measure_rate(events, last);
    else
        measure_latency(events, last);
    close_all();
    return 0;
}
