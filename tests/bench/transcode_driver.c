/* transcode_driver.c - CPU per event of msgpack to COPY tuple: our reader, a naive one, and memcpy of the same bytes.
 *
 * The events are the generator's own: of 20,000 the 256 whose size is nearest to the reference event's (329 bytes of msgpack), in
 * their order, so that names, shapes and numbers vary as in a topic and no branch is learnt by heart. Tuples go one behind the
 * other into a buffer of the size of a batch. Rounds of the three ways take turns; CPU time of this thread, not the wall clock.
 *
 *   transcode-driver            one JSON object: us per event of each round
 *   transcode-driver --ours N   only our reader, N events: for callgrind, twice with different N, the difference is the events' own
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <msgpack.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/transcode.h"
#include "common/tuple.h"
#include "producer/generate/generator.h"
#include "producer/library/event.h"

enum { MADE = 20000, EVENTS = 256, REFERENCE_BYTES = 329, ROUNDS = 15, ROUND_EVENTS = 200000, BATCH_BYTES = 8 << 20 };
#define UNTIL_US INT64_C(1768435200000000) /* 2026-01-15 */

struct sample {
    uint8_t *bytes;
    size_t length;
};

static struct sample samples[EVENTS];
static struct transcoder *transcoder;
static uint8_t *tuples;

static void fail(const char *what)
{
    fprintf(stderr, "transcode-driver: %s\n", what);
    exit(1);
}

static size_t distance(const struct sample *sample)
{
    return sample->length > REFERENCE_BYTES ? sample->length - REFERENCE_BYTES : REFERENCE_BYTES - sample->length;
}

/* Keeps the EVENTS nearest: the farthest of those kept gives way. */
static void keep(const struct event_message *message)
{
    struct sample sample = {malloc(message->value_length), message->value_length};
    size_t worst = 0;
    if (!sample.bytes)
        fail("no memory");
    memcpy(sample.bytes, message->value, sample.length);
    for (size_t i = 0; i < EVENTS; i++) {
        if (!samples[i].bytes) {
            samples[i] = sample;
            return;
        }
        if (distance(&samples[i]) > distance(&samples[worst]))
            worst = i;
    }
    if (distance(&sample) < distance(&samples[worst])) {
        const struct sample given_up = samples[worst];
        samples[worst] = sample;
        sample = given_up;
    }
    free(sample.bytes);
}

static void make_samples(void)
{
    const struct generator_plan plan = {.events = MADE, .seed = 1, .days = 1, .until_us = UNTIL_US};
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    struct event_message message;
    if (!generator || !event)
        fail("no generator");
    while (generator_next(generator, event)) {
        if (!event_encode(event, &message, NULL))
            fail("cannot encode an event");
        keep(&message);
    }
    tally_event_free(event);
    generator_free(generator);
}

static size_t ours(const struct sample *sample, uint8_t *out)
{
    struct transcoded result;
    if (transcode(transcoder, sample->bytes, sample->length, UNTIL_US, out, &result) != REASON_NONE)
        fail("an event was refused");
    return result.length;
}

/* ---- the naive way: unpack to a tree, print it ---- */

static char *print_text(char *to, const msgpack_object_str *text)
{
    *to++ = '"';
    for (uint32_t i = 0; i < text->size; i++) {
        if (text->ptr[i] == '"' || text->ptr[i] == '\\' || (uint8_t)text->ptr[i] < 0x20)
            to += sprintf(to, "\\u%04x", text->ptr[i]);
        else
            *to++ = text->ptr[i];
    }
    *to++ = '"';
    return to;
}

static char *print_value(char *to, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL: return to + sprintf(to, "null");
    case MSGPACK_OBJECT_BOOLEAN: return to + sprintf(to, value->via.boolean ? "true" : "false");
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return to + sprintf(to, "%" PRIu64, value->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return to + sprintf(to, "%" PRId64, value->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return to + sprintf(to, "%.17g", value->via.f64);
    case MSGPACK_OBJECT_STR: return print_text(to, &value->via.str);
    case MSGPACK_OBJECT_ARRAY:
        *to++ = '[';
        for (uint32_t i = 0; i < value->via.array.size; i++) {
            if (i > 0)
                *to++ = ',';
            to = print_value(to, &value->via.array.ptr[i]);
        }
        *to++ = ']';
        return to;
    case MSGPACK_OBJECT_MAP:
        *to++ = '{';
        for (uint32_t i = 0; i < value->via.map.size; i++) {
            if (i > 0)
                *to++ = ',';
            to = print_text(to, &value->via.map.ptr[i].key.via.str);
            *to++ = ':';
            to = print_value(to, &value->via.map.ptr[i].val);
        }
        *to++ = '}';
        return to;
    default: fail("a type that the generator does not make");
    }
    return to;
}

static const msgpack_object *field(const msgpack_object *root, const char *name)
{
    for (uint32_t i = 0; i < root->via.map.size; i++) {
        const msgpack_object_str *key = &root->via.map.ptr[i].key.via.str;
        if (key->size == strlen(name) && memcmp(key->ptr, name, key->size) == 0)
            return &root->via.map.ptr[i].val;
    }
    return NULL;
}

static uint8_t *put_text_field(uint8_t *to, const msgpack_object *root, const char *name)
{
    const msgpack_object *value = field(root, name);
    return value ? put_column(to, value->via.str.ptr, value->via.str.size) : put_column(to, NULL, 0);
}

static size_t naive(const struct sample *sample, uint8_t *out)
{
    msgpack_unpacked unpacked;
    size_t used = 0;
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, (const char *)sample->bytes, sample->length, &used) != MSGPACK_UNPACK_SUCCESS)
        fail("msgpack-c refused an event");
    const msgpack_object *root = &unpacked.data, *user = field(root, "user_id"), *internal = field(root, "is_internal");
    uint8_t *to = put_16(out, TUPLE_COLUMNS);
    to = put_64(put_32(to, 8), 0);
    to = put_column(to, field(root, "id")->via.bin.ptr, 16);
    to = put_64(put_32(to, 8), (uint64_t)(field(root, "created_at")->via.i64 - CLOCK_POSTGRES_EPOCH_US));
    to = put_32(to, 1);
    *to++ = internal && internal->via.boolean;
    uint8_t *length = to;
    to[4] = 1;
    to = (uint8_t *)print_value((char *)to + 5, field(root, "event_data"));
    put_32(length, (uint32_t)(to - length - 4));
    to = put_text_field(to, root, "event_name");
    to = put_text_field(to, root, "event_category");
    to = put_text_field(to, root, "session_id");
    to = user ? put_64(put_32(to, 8), user->via.u64) : put_32(to, UINT32_MAX);
    msgpack_unpacked_destroy(&unpacked);
    return (size_t)(to - out);
}

static size_t floor_copy(const struct sample *sample, uint8_t *out)
{
    memcpy(out, sample->bytes, sample->length);
    return sample->length;
}

/* ---- measuring ---- */

static size_t run(size_t (*way)(const struct sample *, uint8_t *), int events)
{
    size_t used = 0, total = 0;
    for (int i = 0; i < events; i++) {
        const size_t length = way(&samples[i % EVENTS], tuples + used);
        total += length;
        used += length;
        if (used > BATCH_BYTES)
            used = 0;
    }
    return total;
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void measure(const char *name, size_t (*way)(const struct sample *, uint8_t *), double *rounds, int round)
{
    const double begun_us = cpu_us();
    if (run(way, ROUND_EVENTS) == 0)
        fail(name);
    rounds[round] = (cpu_us() - begun_us) / ROUND_EVENTS;
}

static void print_rounds(const char *name, const double *rounds)
{
    printf(", \"%s\": [", name);
    for (int i = 0; i < ROUNDS; i++)
        printf("%s%.4f", i ? ", " : "", rounds[i]);
    printf("]");
}

int main(int argc, char **argv)
{
    struct error err;
    struct transcode_rules rules = {
        .oldest_us = UNTIL_US - 30 * CLOCK_DAY_US, .newest_us = UNTIL_US + CLOCK_DAY_US, .catalogue = catalogue_load(NULL, &err)};
    tuples = malloc(BATCH_BYTES + TRANSCODE_ROOM);
    transcoder = rules.catalogue ? transcoder_new(&rules, &err) : NULL;
    if (!tuples || !transcoder)
        fail("no memory");
    memset(tuples, 1, BATCH_BYTES + TRANSCODE_ROOM);
    make_samples();
    if (argc == 3 && strcmp(argv[1], "--ours") == 0) {
        run(ours, atoi(argv[2]));
        return 0;
    }
    static double our_rounds[ROUNDS], naive_rounds[ROUNDS], copy_rounds[ROUNDS];
    size_t input = 0, json = 0;
    for (int i = 0; i < EVENTS; i++) {
        input += samples[i].length;
        ours(&samples[i], tuples);
        json += get_32(tuples + TUPLE_EVENT_DATA) - 1;
    }
    for (int round = 0; round < ROUNDS; round++) {
        measure("ours", ours, our_rounds, round);
        measure("naive", naive, naive_rounds, round);
        measure("memcpy", floor_copy, copy_rounds, round);
    }
    printf("{\"event_bytes\": %.1f, \"json_bytes\": %.1f, \"tuple_bytes\": %.1f", (double)input / EVENTS, (double)json / EVENTS,
           (double)run(ours, EVENTS) / EVENTS);
    print_rounds("ours", our_rounds);
    print_rounds("naive", naive_rounds);
    print_rounds("memcpy", copy_rounds);
    printf("}\n");
    return 0;
}
