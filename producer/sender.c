/* sender.c - see sender.h.
 *
 * While the queue is full each call of tally_publish waits a little, and between the calls we look for a signal, draw, and see
 * whether Kafka still takes anything. librdkafka gives events up after kafka.message.timeout.ms, so a dead Kafka empties the queue
 * by failures; the limit here is for the case that an operator has set that to "never".
 */
#include "producer/sender.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/uuid.h"
#include "producer/ack_log.h"
#include "producer/library/options.h"

enum {
    CHECK_MS = 10000,
    STALL_MS = 330000, /* message.timeout.ms and a little more */
    FLUSH_MS = 330000,
    STOP_FLUSH_MS = 10000, /* after a signal; with a spool, without any progress */
    LOOK_MS = 100,
    FAILURES_TOLD_MAX = 10,
    SETTINGS_MAX = 64,
};

/* The wall clock of a monotonic time: a step of the clock during the run changes no latency. */
static int64_t as_wall_us(const struct sender *sender, int64_t now_us)
{
    return sender->start_wall_us + (now_us - sender->start_us);
}

/* A version 7 id with the microsecond in the twelve bits behind the milliseconds (RFC 9562 6.2 method 3): when the acknowledgement
 * comes, the id says when the event was due, and nothing else need be kept of it. */
static void happen_at(struct tally_event *event, int64_t wall_us)
{
    uint8_t id[UUID_BYTES], random[UUID_BYTES];
    uint64_t tail;
    uuid_make_v7(random, wall_us);
    memcpy(&tail, random + 8, sizeof tail);
    uuid_make_v7_from(id, wall_us, (uint64_t)(wall_us % 1000) * 4096 / 1000 + 1, tail);
    tally_event_created(event, wall_us);
    tally_event_set_id(event, id);
}

static int64_t happened_at(const uint8_t id[UUID_BYTES])
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms * 1000 + ((id[6] & 0x0f) << 8 | id[7]) * 1000 / 4096;
}

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct sender *sender = context;
    if (delivery->error == NULL) {
        if (sender->is_live && happened_at(delivery->id) >= sender->start_wall_us) /* older: from the spool of an earlier run */
            latency_add(&sender->latency, as_wall_us(sender, clock_now_us()) - happened_at(delivery->id));
        if (sender->ack_log != NULL)
            ack_log_add(sender->ack_log, delivery);
    } else if (sender->told++ < FAILURES_TOLD_MAX) {
        char id[UUID_TEXT_BYTES], text[LOG_TEXT_BYTES];
        log_error("event not delivered", "id=%s error=\"%s\"", uuid_format(id, delivery->id), log_text(text, delivery->error));
    }
}

static void on_log(void *context, int level, const char *message)
{
    (void)context;
    char text[LOG_TEXT_BYTES];
    log_text(text, message);
    if (level <= 3)
        log_warn("kafka", "said=\"%s\"", text); /* librdkafka goes on trying; what it gives up is told event by event */
    else
        log_debug("kafka", "said=\"%s\"", text);
}

static bool is_set(const struct kafka_setting *kafka, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(kafka[i].name, name) == 0)
            return true;
    return false;
}

/* Where the setting that the library names was given. */
static bool say_where(const struct settings *settings, const char *text, struct error *err)
{
    size_t count;
    const struct kafka_setting *kafka = settings_kafka(settings, &count);
    error_set(err, ERROR_USAGE, "%s", text);
    for (size_t i = 0; i < count; i++) {
        char key[128];
        int length = snprintf(key, sizeof key, "kafka.%s", kafka[i].name);
        if (strncmp(text, key, (size_t)length) == 0 && (text[length] == ' ' || text[length] == ':'))
            return error_wrap(err, "%s", settings_origin(settings, key));
    }
    return false;
}

/* The library's settings from the operator's: kafka.* and what concerns publishing. Other texts in it are borrowed from the
 * settings. */
struct words {
    struct tally_setting list[SETTINGS_MAX + 12];
    char names[SETTINGS_MAX][128], size[32], wait_ms[32];
};

static size_t add_spool(const struct settings *settings, struct words *words, size_t used)
{
    struct tally_setting *list = &words->list[used];
    snprintf(words->wait_ms, sizeof words->wait_ms, "%lld", (long long)settings_int(settings, "spool.wait.ms"));
    snprintf(words->size, sizeof words->size, "%lld", (long long)settings_int(settings, "spool.size"));
    list[0] = (struct tally_setting){"spool.dir", settings_text(settings, "spool.dir")};
    list[1] = (struct tally_setting){"spool.size", words->size};
    list[2] = (struct tally_setting){"spool.sync", settings_text(settings, "spool.sync")};
    list[3] = (struct tally_setting){"spool.full", settings_text(settings, "spool.full")};
    list[4] = (struct tally_setting){"spool.wait.ms", words->wait_ms};
    return used + 5;
}

static bool has_spool(const struct settings *settings)
{
    return *settings_text(settings, "spool.dir") != '\0';
}

static bool put_in_words(const struct settings *settings, struct words *words, struct error *err)
{
    size_t count, used = 0;
    struct tally_setting *list = words->list;
    const struct kafka_setting *kafka = settings_kafka(settings, &count);
    if (count > SETTINGS_MAX)
        return error_set(err, ERROR_USAGE, "more than %d settings of kafka.*", SETTINGS_MAX);
    for (; used < count; used++) {
        snprintf(words->names[used], sizeof words->names[used], "kafka.%s", kafka[used].name);
        list[used] = (struct tally_setting){words->names[used], kafka[used].value};
    }
    /* A file can wait: it needs no more than what is on its way to Kafka and back, so that the largest import takes hardly more
     * memory than the smallest. librdkafka keeps some 200 bytes beside each message, so both are bounded. */
    if (!is_set(kafka, count, "queue.buffering.max.kbytes"))
        list[used++] = (struct tally_setting){"kafka.queue.buffering.max.kbytes", "4096"};
    if (!is_set(kafka, count, "queue.buffering.max.messages"))
        list[used++] = (struct tally_setting){"kafka.queue.buffering.max.messages", "10000"};
    list[used++] = (struct tally_setting){"topics.events", settings_text(settings, "topics.events")};
    list[used++] = (struct tally_setting){"catalogue.file", settings_text(settings, "catalogue.file")};
    list[used++] = (struct tally_setting){"catalogue.unknown", settings_text(settings, "catalogue.unknown")};
    list[used++] = (struct tally_setting){"publish.timeout.ms", "100"}; /* our patience is in sender_send */
    if (has_spool(settings))
        used = add_spool(settings, words, used);
    list[used] = (struct tally_setting){NULL, NULL};
    return true;
}

static bool open_producer(struct sender *sender, const struct settings *settings, struct error *err)
{
    struct words words;
    if (!put_in_words(settings, &words, err))
        return false;
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .log = on_log, .context = sender};
    struct tally_error reason;
    sender->producer = tally_open(words.list, &hooks, &reason);
    if (sender->producer != NULL)
        return true;
    return reason.code == TALLY_INVALID ? say_where(settings, reason.text, err) : error_set(err, ERROR_RETRY, "%s", reason.text);
}

bool sender_open(struct sender *sender, const struct settings *settings, struct error *err)
{
    int topic_partitions;
    *sender = (struct sender){.has_spool = has_spool(settings)};
    outside_init(&sender->outside, settings, clock_wall_us());
    if (!open_producer(sender, settings, err))
        return false;
    struct tally_error reason;
    enum tally_code code = tally_check(sender->producer, CHECK_MS, &topic_partitions, &reason);
    if (code == TALLY_FAILED && sender->has_spool) {
        char text[LOG_TEXT_BYTES];
        log_warn("Kafka is away: events wait in the spool", "reason=\"%s\"", log_text(text, reason.text));
        code = TALLY_OK;
    }
    if (code == TALLY_OK)
        return true;
    tally_close(sender->producer, 0, NULL);
    sender->producer = NULL;
    const bool is_missing = strstr(reason.text, "does not exist") != NULL;
    return code == TALLY_INVALID ? error_set(err, ERROR_USAGE, "%s%s", reason.text,
                                             is_missing ? "; run: tallymill migrate (or set topics.events)" : "")
                                 : error_set(err, ERROR_RETRY, "%s", reason.text);
}

rd_kafka_conf_t *sender_conf(const struct settings *settings, struct error *err)
{
    struct words words;
    struct options options;
    struct tally_error reason;
    char why[256];
    if (!put_in_words(settings, &words, err))
        return NULL;
    if (!options_read(&options, words.list, &reason)) {
        say_where(settings, reason.text, err);
        return NULL;
    }
    rd_kafka_conf_set(options.conf, "enable.idempotence", "false", why, sizeof why);
    return options.conf;
}

void sender_start(struct sender *sender, int64_t total, const struct sender_pace *pace)
{
    sender->start_wall_us = clock_wall_us();
    sender->start_us = sender->settled_us = sender->flushed_us = clock_now_us();
    sender->is_live = pace->is_live;
    progress_init(&sender->progress, "events", total, sender->start_us);
    pace_init(&sender->pace, pace->rate, pace->is_open_loop, sender->start_us);
}

static bool is_stopped(struct error *err)
{
    return service_is_stopping() && !error_set(err, ERROR_RETRY, "stopped by a signal");
}

/* The turn of the next event; false when a signal came. */
static bool await_turn(struct sender *sender, struct tally_event *event, int64_t done, struct error *err)
{
    if (sender->pace.rate <= 0)
        return true;
    int64_t now_us = clock_now_us(), due_us = pace_next_us(&sender->pace, now_us);
    while (now_us < due_us) {
        if (is_stopped(err))
            return false;
        progress_draw(&sender->progress, done, sender->sent, now_us);
        int64_t pause_us = due_us - now_us < LOOK_MS * INT64_C(1000) ? due_us - now_us : LOOK_MS * INT64_C(1000);
        nanosleep(&(struct timespec){.tv_nsec = pause_us * 1000}, NULL);
        now_us = clock_now_us();
    }
    if (sender->is_live)
        happen_at(event, as_wall_us(sender, due_us));
    return true;
}

/* For how long Kafka has taken or given up nothing. */
static int64_t stalled_us(struct sender *sender, int64_t now_us)
{
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_count(sender->producer, &counts);
    if (counts.acknowledged + counts.failed != sender->settled) {
        sender->settled = counts.acknowledged + counts.failed;
        sender->settled_us = now_us;
    }
    return now_us - sender->settled_us;
}

static bool is_stalled(struct sender *sender, int64_t now_us, struct error *err)
{
    return stalled_us(sender, now_us) > STALL_MS * INT64_C(1000) &&
           !error_set(err, ERROR_RETRY, "Kafka has taken nothing for %d s", STALL_MS / 1000);
}

/* Draws now and then, and keeps the log of acknowledgements near the truth. */
static void show(struct sender *sender, int64_t done)
{
    int64_t now_us = clock_now_us();
    progress_draw(&sender->progress, done, sender->sent, now_us);
    if (sender->ack_log != NULL && now_us - sender->flushed_us > CLOCK_SECOND_US) {
        ack_log_flush(sender->ack_log);
        sender->flushed_us = now_us;
    }
}

enum sink_answer sender_send(struct sender *sender, struct tally_event *event, int64_t done, struct error *err)
{
    if (is_stopped(err) || !await_turn(sender, event, done, err))
        return SINK_FAILED;
    struct tally_error reason;
    enum tally_code code = tally_publish(sender->producer, event, &reason);
    if (code == TALLY_FULL) {
        sender->settled_us = clock_now_us();
        while (code == TALLY_FULL) {
            if (is_stopped(err) || is_stalled(sender, clock_now_us(), err))
                return SINK_FAILED;
            show(sender, done);
            code = tally_publish(sender->producer, event, &reason);
        }
    }
    if (code == TALLY_INVALID) {
        error_set(err, ERROR_REJECT, "%s", reason.text);
        return SINK_INVALID;
    }
    if (code != TALLY_OK) {
        error_set(err, ERROR_RETRY, "%s", reason.text);
        return SINK_FAILED;
    }
    outside_add(&sender->outside, event);
    if (++sender->sent % 256 == 0)
        show(sender, done);
    return SINK_SENT;
}

bool sender_settle(struct sender *sender, int64_t done, struct error *err)
{
    int64_t begin_us = sender->settled_us = clock_now_us();
    while (!tally_flush(sender->producer, LOOK_MS)) {
        if (is_stalled(sender, clock_now_us(), err))
            return false;
        if (service_is_stopping() && clock_now_us() - begin_us > STOP_FLUSH_MS * INT64_C(1000))
            return error_set(err, ERROR_RETRY, "stopped by a signal, and not everything was acknowledged");
        show(sender, done);
    }
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_count(sender->producer, &counts);
    return counts.failed == 0 ||
           error_set(err, ERROR_RETRY, "%llu events were not delivered: run it again to go on from before them",
                     (unsigned long long)counts.failed);
}

static enum sink_answer send_to(void *context, struct tally_event *event, int64_t done, struct error *err)
{
    return sender_send(context, event, done, err);
}

static bool settle_in(void *context, int64_t done, struct error *err)
{
    return sender_settle(context, done, err);
}

static void clear_line(void *context)
{
    struct sender *sender = context;
    progress_clear(&sender->progress);
}

struct sink sender_sink(struct sender *sender)
{
    return (struct sink){.context = sender, .send = send_to, .settle = settle_in, .clear = clear_line};
}

/* A file is sent to its end if that is possible at all; a spool needs no such patience once nothing moves any more. */
static bool is_worth_waiting(struct sender *sender, int64_t begin_us)
{
    int64_t now_us = clock_now_us(), waited_us = sender->has_spool ? stalled_us(sender, now_us) : now_us - begin_us;
    if (service_is_stopping())
        waited_us = now_us - begin_us;
    return waited_us <= INT64_C(1000) * (service_is_stopping() || sender->has_spool ? STOP_FLUSH_MS : FLUSH_MS);
}

void sender_close(struct sender *sender, struct sender_report *report)
{
    int64_t begin_us = sender->settled_us = clock_now_us();
    while (!tally_flush(sender->producer, LOOK_MS) && is_worth_waiting(sender, begin_us))
        show(sender, sender->progress.total);
    struct tally_counts counts = TALLY_COUNTS_INIT;
    tally_close(sender->producer, 0, &counts);
    sender->producer = NULL;
    progress_clear(&sender->progress);
    *report = (struct sender_report){.sent = counts.accepted,
                                     .acknowledged = counts.acknowledged,
                                     .failed = counts.failed,
                                     .recovered = counts.recovered,
                                     .waiting = counts.accepted + counts.recovered - counts.acknowledged - counts.failed,
                                     .elapsed_us = clock_now_us() - sender->start_us};
}
