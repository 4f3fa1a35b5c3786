/* workers.c - see workers.h.
 *
 * libcurl asks all of them side by side, so that one that hangs costs its own figures and no others. An answer is cut at a megabyte,
 * no redirection is followed and no proxy asked: the address is an operator's, but what listens there may be anything.
 * Rejected: asking Postgres for times of commits. The ledger knows when a batch was committed, not since when it was tried.
 */
#include "operator/dashboard/workers.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/clock.h"
#include "common/http_socket.h"
#include "common/log.h"
#include "operator/dashboard/commit_times.h"

enum { WORKERS_MOST = 256, ADDRESS_BYTES = 256, ANSWER_BYTES = 1 << 20, LOOK_MS = 2000, POLL_MS = 200 };

struct worker {
    char address[ADDRESS_BYTES];
    CURL *easy;
    char *text; /* its answer so far; ANSWER_BYTES, made with the first */
    size_t length;
    struct commit_times last; /* count 0: it has not answered yet */
    char trouble[ERROR_TEXT_BYTES];
};

struct workers {
    pthread_mutex_t lock; /* of trouble and since */
    struct commit_times since;
    CURLM *multi;
    int count;
    struct worker list[];
};

/* ---- one answer ---- */

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct worker *worker = context;
    const size_t length = size * count;
    if (!worker->text)
        worker->text = malloc(ANSWER_BYTES);
    if (!worker->text || length >= ANSWER_BYTES - worker->length)
        return 0; /* fewer than came: libcurl ends it */
    memcpy(worker->text + worker->length, bytes, length);
    worker->length += length;
    return length;
}

static bool read_answer(struct worker *worker, CURLcode code, struct commit_times *times, struct error *err)
{
    long status = 0;
    if (code != CURLE_OK)
        return error_set(err, ERROR_RETRY, "%s", code == CURLE_WRITE_ERROR ? "its answer is too long" : curl_easy_strerror(code));
    curl_easy_getinfo(worker->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return error_set(err, ERROR_RETRY, "it answers with status %ld", status);
    if (!worker->text || worker->length == 0)
        return error_set(err, ERROR_RETRY, "its answer is empty");
    worker->text[worker->length] = '\0';
    return commit_times_read(worker->text, times, err);
}

/* What it says now, or why it says nothing; logged when that begins. */
static void note(struct workers *workers, struct worker *worker, CURLcode code)
{
    struct error err = {0};
    struct commit_times times;
    const bool is_read = read_answer(worker, code, &times, &err);
    pthread_mutex_lock(&workers->lock);
    const bool is_new = !is_read && worker->trouble[0] == '\0';
    snprintf(worker->trouble, sizeof worker->trouble, "%s", is_read ? "" : err.text);
    if (is_read && worker->last.count > 0) /* what came before the first answer came before anybody looked */
        commit_times_add(&workers->since, &worker->last, &times);
    pthread_mutex_unlock(&workers->lock);
    if (is_read)
        worker->last = times;
    if (is_new)
        log_warn_because(&err, "a worker does not show its metrics", "address=%s", worker->address);
}

/* ---- all of them ---- */

/* Until each has answered or failed; each has a deadline of its own. */
static void wait_for_all(struct workers *workers)
{
    const int64_t until_us = clock_now_us() + 2 * LOOK_MS * INT64_C(1000);
    int running = workers->count;
    while (running > 0 && clock_now_us() < until_us) /* ends: with the time */
        if (curl_multi_perform(workers->multi, &running) != CURLM_OK ||
            (running > 0 && curl_multi_poll(workers->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK))
            return;
}

void workers_look(struct workers *workers)
{
    CURLcode codes[WORKERS_MOST];
    for (int i = 0; i < workers->count; i++) {
        workers->list[i].length = 0;
        codes[i] = curl_multi_add_handle(workers->multi, workers->list[i].easy) == CURLM_OK ? CURLE_OPERATION_TIMEDOUT
                                                                                             : CURLE_OUT_OF_MEMORY;
    }
    wait_for_all(workers);
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(workers->multi, &left)) != NULL) /* ends: a message for each */
        for (int i = 0; i < workers->count; i++)
            if (message->msg == CURLMSG_DONE && message->easy_handle == workers->list[i].easy)
                codes[i] = message->data.result;
    for (int i = 0; i < workers->count; i++) {
        note(workers, &workers->list[i], codes[i]);
        curl_multi_remove_handle(workers->multi, workers->list[i].easy);
    }
}

void workers_take(struct workers *workers, double *p50_ms, double *p99_ms)
{
    pthread_mutex_lock(&workers->lock);
    *p50_ms = 1000 * commit_times_percentile(&workers->since, 0.5);
    *p99_ms = 1000 * commit_times_percentile(&workers->since, 0.99);
    workers->since = (struct commit_times){0};
    pthread_mutex_unlock(&workers->lock);
}

json_t *workers_json(struct workers *workers)
{
    json_t *list = json_array();
    pthread_mutex_lock(&workers->lock);
    for (int i = 0; i < workers->count; i++) {
        const struct worker *worker = &workers->list[i];
        json_array_append_new(list, json_pack("{s:s, s:s?}", "address", worker->address, "trouble",
                                              worker->trouble[0] ? worker->trouble : NULL));
    }
    pthread_mutex_unlock(&workers->lock);
    return list;
}

int workers_count(const struct workers *workers)
{
    return workers->count;
}

/* ---- made and freed ---- */

static bool prepare(struct worker *worker, const char *begin, size_t length, struct error *err)
{
    char url[ADDRESS_BYTES + 32];
    if (length >= sizeof worker->address)
        return error_set(err, ERROR_USAGE, "an address is longer than %d bytes", ADDRESS_BYTES - 1);
    memcpy(worker->address, begin, length);
    if (!http_socket_check(worker->address, err))
        return false;
    snprintf(url, sizeof url, "http://%.*s/metrics", (int)length, begin);
    worker->easy = curl_easy_init();
    if (!worker->easy)
        return error_set(err, ERROR_RETRY, "no memory to ask the workers");
    curl_easy_setopt(worker->easy, CURLOPT_URL, url); /* copied */
    curl_easy_setopt(worker->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(worker->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(worker->easy, CURLOPT_TIMEOUT_MS, (long)LOOK_MS);
    curl_easy_setopt(worker->easy, CURLOPT_USERAGENT, "tallymill dashboard");
    curl_easy_setopt(worker->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(worker->easy, CURLOPT_WRITEDATA, worker);
    return true;
}

static int count_words(const char *text)
{
    int count = 0;
    for (text += strspn(text, " "); *text != '\0'; count++) { /* ends: with the text */
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return count;
}

struct workers *workers_new(const char *addresses, struct error *err)
{
    const int count = count_words(addresses);
    if (count > WORKERS_MOST) {
        error_set(err, ERROR_USAGE, "at most %d workers are asked", WORKERS_MOST);
        return NULL;
    }
    struct workers *workers = calloc(1, sizeof *workers + (size_t)count * sizeof workers->list[0]);
    if (!workers || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        free(workers);
        error_set(err, ERROR_RETRY, "no memory to ask the workers");
        return NULL;
    }
    pthread_mutex_init(&workers->lock, NULL);
    workers->multi = curl_multi_init();
    bool is_ready = workers->multi || error_set(err, ERROR_RETRY, "no memory to ask the workers");
    for (const char *at = addresses + strspn(addresses, " "); is_ready && *at != '\0'; at += strspn(at, " ")) { /* ends: with the text */
        const size_t length = strcspn(at, " ");
        is_ready = prepare(&workers->list[workers->count++], at, length, err);
        at += length;
    }
    if (is_ready)
        return workers;
    workers_free(workers);
    return NULL;
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    for (int i = 0; i < workers->count; i++) {
        curl_easy_cleanup(workers->list[i].easy);
        free(workers->list[i].text);
    }
    curl_multi_cleanup(workers->multi);
    curl_global_cleanup();
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
