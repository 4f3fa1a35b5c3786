/* producer.c - the public producer: checks an event against the catalogue and hands it to the courier. See <tallymill/producer.h>.
 *
 * After fork() the child has a copy of the memory but none of the threads, and of librdkafka's locks whatever state they were in.
 * So a producer remembers in which generation of processes it was opened, and does nothing in any other: not even freeing, which
 * would touch those locks.
 *
 * NULL is a producer that was never opened (a service without analytics): it accepts nothing, says so, and is harmless.
 */
#include <tallymill/producer.h>

#include <stdlib.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/error.h"
#include "producer/library/checker.h"
#include "producer/library/courier.h"
#include "producer/library/event.h"
#include "producer/library/event_bytes.h"
#include "producer/library/generation.h"
#include "producer/library/options.h"
#include "producer/library/options_file.h"
#include "producer/library/spool_format.h"

struct tally_producer {
    struct courier *courier;
    struct catalogue *catalogue;
    struct checker *checker; /* of what comes as bytes */
    bool is_unknown_event_refused;
    unsigned generation;
};

static bool is_ours(const struct tally_producer *producer)
{
    return producer->generation == generation_now();
}

static enum tally_code refuse_child(struct tally_error *err)
{
    return tally_error_set(err, TALLY_FAILED, "the producer was opened before fork(): a child opens its own");
}

const char *tally_version(void)
{
    return TALLYMILL_VERSION;
}

struct tally_producer *tally_open(const struct tally_setting *settings, const struct tally_hooks *hooks, struct tally_error *err)
{
    struct options options;
    if (hooks != NULL && hooks->size < offsetof(struct tally_hooks, context) + sizeof hooks->context) {
        tally_error_set(err, TALLY_INVALID, "hooks.size is %zu: set it to sizeof(struct tally_hooks)", hooks->size);
        return NULL;
    }
    if (!options_read(&options, settings, err))
        return NULL;
    struct tally_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        goto out;
    }
    generation_watch();
    producer->generation = generation_now();
    producer->is_unknown_event_refused = options.is_unknown_event_refused;
    struct error reason;
    producer->catalogue = catalogue_load(options.catalogue_file, &reason);
    if (producer->catalogue == NULL) {
        tally_error_set(err, TALLY_INVALID, "%s", reason.text);
        goto out;
    }
    producer->checker = checker_new(producer->catalogue, options.is_unknown_event_refused);
    if (producer->checker == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        goto out;
    }
    if (!courier_open(&producer->courier, &options, hooks, producer, err))
        goto out;
    return producer;
out:
    options_reset(&options);
    if (producer != NULL) {
        checker_free(producer->checker);
        catalogue_free(producer->catalogue);
    }
    free(producer);
    return NULL;
}

struct tally_producer *tally_open_file(const char *path, const struct tally_setting *more, const struct tally_hooks *hooks,
                                       struct tally_error *err)
{
    struct options_file *file = options_file_read(path, more, err);
    struct tally_producer *producer = file == NULL ? NULL : tally_open(options_file_settings(file), hooks, err);
    const char *warning = file == NULL ? NULL : options_file_warning(file);
    if (producer != NULL && warning != NULL)
        courier_warn(producer->courier, warning);
    options_file_free(file);
    return producer;
}

/* May this producer be used, here? */
static enum tally_code usable(const struct tally_producer *producer, struct tally_error *err)
{
    if (producer == NULL)
        return tally_error_set(err, TALLY_FAILED, "there is no producer");
    return is_ours(producer) ? TALLY_OK : refuse_child(err);
}

enum tally_code tally_check(struct tally_producer *producer, int timeout_ms, int *topic_partitions, struct tally_error *err)
{
    enum tally_code code = usable(producer, err);
    return code == TALLY_OK ? courier_check(producer->courier, timeout_ms, topic_partitions, err) : code;
}

enum tally_code tally_publish(struct tally_producer *producer, struct tally_event *event, struct tally_error *err)
{
    enum tally_code code = usable(producer, err);
    if (code != TALLY_OK)
        return code;
    if (event == NULL)
        return tally_error_set(err, TALLY_INVALID, "there is no event");
    struct event_message message;
    if (!event_encode(event, &message, err))
        return event->error.code;
    if (!event_is_allowed(event, producer->catalogue, producer->is_unknown_event_refused, err))
        return TALLY_INVALID;
    if (event->has_bytes && !event->is_published &&
        (code = checker_check(producer->checker, message.value, message.value_length, err)) != TALLY_OK)
        return code;
    code = courier_put(producer->courier, &message, err);
    event->is_published = event->is_published || code == TALLY_OK;
    return code;
}

enum tally_code tally_publish_bytes(struct tally_producer *producer, const void *key, size_t key_size, const void *value,
                                    size_t value_size, uint64_t tag, struct tally_error *err)
{
    enum tally_code code = usable(producer, err);
    if (code != TALLY_OK)
        return code;
    struct event_message message = {.key = key, .key_length = key_size, .value = value, .value_length = value_size};
    if (value == NULL || value_size == 0 || value_size > SPOOL_VALUE_MAX)
        return tally_error_set(err, TALLY_INVALID, "the value has %zu bytes; it takes 1 to %d", value_size, SPOOL_VALUE_MAX);
    if (tag >> 55 != 0)
        return tally_error_set(err, TALLY_INVALID, "the tag is beyond 2^55 - 1");
    code = checker_check(producer->checker, value, value_size, err);
    if (code != TALLY_OK)
        return code;
    if ((key == NULL || key_size == 0) && !event_find_key(value, value_size, &message))
        return tally_error_set(err, TALLY_INVALID, "the event has neither key nor session_id nor id");
    if (message.key_length > SPOOL_KEY_MAX)
        return tally_error_set(err, TALLY_INVALID, "the key has %zu bytes; it takes 1 to %d", message.key_length, SPOOL_KEY_MAX);
    message.extra = (const uint8_t *)&tag;
    message.extra_length = tag == 0 ? 0 : sizeof tag;
    return courier_put(producer->courier, &message, err);
}

/* What every caller's struct has: a later release's is longer, and an earlier one's never shorter. */
#define COUNTS_FIRST (offsetof(struct tally_counts, damaged) + sizeof(uint64_t))

/* As much as the caller's struct holds. */
static void give_counts(const struct tally_counts *from, struct tally_counts *to)
{
    if (to == NULL)
        return;
    size_t size = to->size < COUNTS_FIRST ? COUNTS_FIRST : to->size < sizeof *from ? to->size : sizeof *from;
    memcpy((char *)to + sizeof to->size, (const char *)from + sizeof from->size, size - sizeof to->size);
}

void tally_count(const struct tally_producer *producer, struct tally_counts *counts)
{
    struct tally_counts now = {0};
    if (producer != NULL)
        courier_count(producer->courier, &now);
    give_counts(&now, counts);
}

enum tally_code tally_oauth_token(struct tally_producer *producer, const char *token, int64_t expires_us, const char *principal,
                                  const struct tally_setting *extensions, struct tally_error *err)
{
    enum tally_code code = usable(producer, err);
    if (code != TALLY_OK)
        return code;
    if (token == NULL || principal == NULL)
        return tally_error_set(err, TALLY_INVALID, "there is no %s", token == NULL ? "token" : "principal");
    return courier_token(producer->courier, token, expires_us, principal, extensions, err);
}

void tally_oauth_failed(struct tally_producer *producer, const char *reason)
{
    if (producer != NULL && is_ours(producer))
        courier_token_failed(producer->courier, reason == NULL || *reason == '\0' ? "the application has none" : reason);
}

int tally_poll(struct tally_producer *producer)
{
    return producer != NULL && is_ours(producer) ? courier_poll(producer->courier) : 0;
}

int tally_poll_fd(const struct tally_producer *producer)
{
    return producer != NULL && is_ours(producer) ? courier_poll_fd(producer->courier) : -1;
}

bool tally_flush(struct tally_producer *producer, int timeout_ms)
{
    return producer == NULL || (is_ours(producer) && courier_flush(producer->courier, timeout_ms));
}

bool tally_stop(struct tally_producer *producer, int timeout_ms, struct tally_counts *counts)
{
    tally_count(producer, counts);
    if (producer == NULL)
        return true;
    if (!is_ours(producer) || courier_is_inside(producer->courier))
        return false;
    courier_stop(producer->courier, timeout_ms);
    struct tally_counts last;
    tally_count(producer, &last);
    give_counts(&last, counts);
    return last.accepted + last.recovered == last.acknowledged;
}

bool tally_close(struct tally_producer *producer, int timeout_ms, struct tally_counts *counts)
{
    bool is_done = tally_stop(producer, timeout_ms, counts);
    if (producer == NULL || !is_ours(producer) || courier_is_inside(producer->courier)) /* a child's copy: see above */
        return is_done;
    courier_close(producer->courier);
    checker_free(producer->checker);
    catalogue_free(producer->catalogue);
    free(producer);
    return is_done;
}
