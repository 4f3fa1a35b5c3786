/* bench_event.c - see bench_event.h. */
#include "bench_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A finished generation, like the reference event of the other benches: sixteen attributes on three levels. */
void bench_event_build(struct tally_event *event, unsigned number)
{
    char session[40];
    memcpy(session, "b7e23ec2-9af4-4d8a-8a1c-000000000000", 37);
    for (unsigned i = 0, rest = number / 20; i < 8; i++, rest /= 10)
        session[35 - i] = (char)('0' + rest % 10);
    tally_event_begin(event, "doc_generation");
    tally_event_session(event, session);
    tally_event_user(event, 100000 + number % 5000);
    tally_event_text(event, "doc_type", number % 3 == 0 ? "README" : "API reference");
    tally_event_text(event, "language", number % 2 == 0 ? "python" : "typescript");
    tally_event_bool(event, "success", number % 17 != 0);
    tally_event_int(event, "duration", 900 + number % 3000);
    tally_event_map(event, "llm");
    tally_event_text(event, "model", "large-2026-01");
    tally_event_map(event, "latency");
    tally_event_number(event, "ttft", 300 + number % 700 * 0.37);
    tally_event_number(event, "tpot", 12 + number % 40 * 0.61);
    tally_event_number(event, "total", 2000 + number % 4000 * 0.77);
    tally_event_end(event);
    tally_event_map(event, "throughput");
    tally_event_number(event, "tokens_per_second", 20 + number % 50 * 0.9);
    tally_event_end(event);
    tally_event_map(event, "cache");
    tally_event_int(event, "read_tokens", number % 4096);
    tally_event_int(event, "input_tokens", 1000 + number % 1000);
    tally_event_end(event);
    tally_event_end(event);
}

struct bench_sample bench_samples[BENCH_SAMPLES];

/* The hook of a producer without brokers: what it gives up comes back with its bytes. */
static void keep_sample(void *context, const struct tally_delivery *delivery)
{
    unsigned *count = context;
    if (*count == BENCH_SAMPLES || delivery->value_length > BENCH_SAMPLE_BYTES || delivery->key_length > sizeof bench_samples->key)
        return;
    struct bench_sample *sample = &bench_samples[(*count)++];
    memcpy(sample->value, delivery->value, sample->value_length = delivery->value_length);
    memcpy(sample->key, delivery->key, sample->key_length = delivery->key_length);
}

static void fail(const char *why)
{
    fprintf(stderr, "samples: %s\n", why);
    exit(1);
}

void bench_samples_make(void)
{
    unsigned count = 0;
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "127.0.0.1:1"}, {NULL, NULL}};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = keep_sample, .context = &count};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, &hooks, &err);
    struct tally_event *event = tally_event_new();
    if (producer == NULL)
        fail(err.text);
    for (unsigned i = 0; i < BENCH_SAMPLES; i++) {
        bench_event_build(event, i);
        if (tally_publish(producer, event, &err) != TALLY_OK)
            fail(err.text);
    }
    tally_close(producer, 0, NULL);
    tally_event_free(event);
    if (count != BENCH_SAMPLES)
        fail("not all came back");
}
