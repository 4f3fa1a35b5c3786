/* reports.c - see reports.h.
 *
 * A list of blocks of memory under a mutex that nobody holds for longer than it takes to hang one in. The limit is not kept by
 * waiting or by forgetting: whoever makes deliveries (the courier) looks whether the list is full and then leaves them where they
 * are, with librdkafka, whose own queue is bounded too. A ring as between callers and courier was rejected: at the end everything
 * must find room at once, with nobody left who would make some.
 *
 * Invariant: the descriptor is readable exactly while the list is not empty, as both change under the mutex.
 */
#include "producer/library/reports.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "producer/library/event.h"

enum report_kind { REPORT_DELIVERY, REPORT_LOG, REPORT_TOKEN };

struct report {
    struct report *next;
    enum report_kind kind;
    int level;                      /* of a log line */
    size_t size;                    /* all of it */
    const char *text;               /* the log line, or the token's config; NULL: none */
    struct tally_delivery delivery; /* points into `bytes` */
    uint8_t bytes[];
};

struct reports {
    pthread_mutex_t mutex; /* guards what stands between here and `running` */
    struct report *first, **end;
    size_t lines;
    unsigned long long lines_lost;
    pthread_mutex_t running; /* held by the thread that calls the hooks */
    atomic_size_t bytes;
    size_t limit_bytes;
    int fd;
};

struct reports *reports_new(size_t limit_bytes, struct tally_error *err)
{
    struct reports *reports = calloc(1, sizeof *reports);
    if (reports == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        return NULL;
    }
    reports->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reports->fd < 0) {
        tally_error_set(err, TALLY_FAILED, "no descriptor for tally_poll_fd: %s", strerror(errno));
        free(reports);
        return NULL;
    }
    pthread_mutex_init(&reports->mutex, NULL);
    pthread_mutex_init(&reports->running, NULL);
    reports->end = &reports->first;
    reports->limit_bytes = limit_bytes;
    return reports;
}

void reports_free(struct reports *reports)
{
    if (reports == NULL)
        return;
    for (struct report *report = reports->first, *next; report != NULL; report = next) {
        next = report->next;
        free(report);
    }
    close(reports->fd);
    pthread_mutex_destroy(&reports->running);
    pthread_mutex_destroy(&reports->mutex);
    free(reports);
}

/* Neither fails: the counter is 0 or 1. */
static void show(struct reports *reports)
{
    uint64_t one = 1;
    while (write(reports->fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void hide(struct reports *reports)
{
    uint64_t count;
    while (read(reports->fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

static struct report *new_report(enum report_kind kind, size_t bytes)
{
    struct report *report = malloc(sizeof *report + bytes);
    if (report != NULL)
        *report = (struct report){.kind = kind, .size = sizeof *report + bytes};
    return report;
}

/* With the mutex held. */
static void append(struct reports *reports, struct report *report)
{
    if (reports->first == NULL)
        show(reports);
    *reports->end = report;
    reports->end = &report->next;
    atomic_fetch_add(&reports->bytes, report->size);
}

static const void *keep(uint8_t **to, const void *from, size_t length)
{
    void *kept = *to;
    if (from == NULL)
        return NULL;
    memcpy(kept, from, length);
    *to += length;
    return kept;
}

bool reports_put_delivery(struct reports *reports, const struct tally_delivery *delivery)
{
    size_t error_length = delivery->error == NULL ? 0 : strlen(delivery->error) + 1;
    struct report *report =
        new_report(REPORT_DELIVERY, TALLY_ID_BYTES + delivery->key_length + delivery->value_length + error_length);
    if (report == NULL)
        return false;
    uint8_t *to = report->bytes;
    report->delivery = *delivery;
    report->delivery.id = keep(&to, delivery->id, TALLY_ID_BYTES);
    report->delivery.key = keep(&to, delivery->key, delivery->key_length);
    report->delivery.value = keep(&to, delivery->value, delivery->value_length);
    report->delivery.error = keep(&to, delivery->error, error_length);
    pthread_mutex_lock(&reports->mutex);
    append(reports, report);
    pthread_mutex_unlock(&reports->mutex);
    return true;
}

void reports_put_log(struct reports *reports, int level, const char *text)
{
    size_t size = strlen(text) + 1;
    struct report *report = new_report(REPORT_LOG, size);
    if (report != NULL)
        report->text = memcpy(report->bytes, text, size);
    pthread_mutex_lock(&reports->mutex);
    if (report == NULL || reports->lines >= REPORTS_LOG_LINES) {
        reports->lines_lost++;
        free(report);
    } else {
        report->level = level;
        reports->lines++;
        append(reports, report);
    }
    pthread_mutex_unlock(&reports->mutex);
}

/* Without memory nobody is asked; librdkafka asks again before the token that it has ends, or a new handle does. */
void reports_put_token(struct reports *reports, const char *config)
{
    size_t size = config == NULL ? 0 : strlen(config) + 1;
    struct report *report = new_report(REPORT_TOKEN, size);
    if (report == NULL)
        return;
    if (config != NULL)
        report->text = memcpy(report->bytes, config, size);
    pthread_mutex_lock(&reports->mutex);
    append(reports, report);
    pthread_mutex_unlock(&reports->mutex);
}

bool reports_is_full(const struct reports *reports)
{
    return atomic_load(&reports->bytes) >= reports->limit_bytes;
}

static void tell(const struct report *report, const struct reports_listener *listener)
{
    switch (report->kind) {
    case REPORT_DELIVERY: listener->delivered(listener->context, &report->delivery); break;
    case REPORT_LOG: listener->log(listener->context, report->level, report->text); break;
    case REPORT_TOKEN: listener->token(listener->context, report->text); break;
    }
}

/* With `running` held. */
static int run(struct reports *reports, const struct reports_listener *listener)
{
    int told = 0;
    pthread_mutex_lock(&reports->mutex);
    struct report *report = reports->first;
    unsigned long long lost = reports->lines_lost;
    if (report != NULL)
        hide(reports);
    reports->first = NULL;
    reports->end = &reports->first;
    reports->lines = 0;
    reports->lines_lost = 0;
    pthread_mutex_unlock(&reports->mutex);
    for (struct report *next; report != NULL; report = next, told++) {
        next = report->next;
        tell(report, listener);
        atomic_fetch_sub(&reports->bytes, report->size);
        free(report);
    }
    if (lost > 0) {
        char text[128];
        snprintf(text, sizeof text, "%llu more lines came while nobody called tally_poll: they were not kept", lost);
        listener->log(listener->context, 4, text);
        told++;
    }
    return told;
}

int reports_run(struct reports *reports, const struct reports_listener *listener)
{
    if (pthread_mutex_trylock(&reports->running) != 0)
        return 0;
    int told = run(reports, listener);
    pthread_mutex_unlock(&reports->running);
    return told;
}

void reports_run_all(struct reports *reports, const struct reports_listener *listener)
{
    pthread_mutex_lock(&reports->running);
    while (run(reports, listener) > 0) {
    }
    pthread_mutex_unlock(&reports->running);
}

int reports_fd(const struct reports *reports)
{
    return reports->fd;
}
