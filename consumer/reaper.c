/* reaper.c - see reaper.h. A thread, because connecting and looking must not keep the main loop from polling Kafka. */
#include "consumer/reaper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"

enum { MOST_SUSPECTS = 16, LOOKS_A_HOLDER = 4 };
#define LOOK_EVERY_US  INT64_C(250000)
#define STILL_US       INT64_C(2000000)
#define QUERY_LIMIT_US INT64_C(2000000)
#define LIFE_US        INT64_C(30000000)

struct suspect {
    char pid[16], started[64], progress[96];
    int64_t since_us;
};

struct reaper {
    char *dsn; /* its own: the worker's may change meanwhile */
    char application[64];
    int pid;
    pthread_t thread;
    atomic_bool stop, done, failed;
    pthread_mutex_t lock; /* of holder */
    char holder[LOCK_TEXT_BYTES];
    struct suspect suspects[MOST_SUSPECTS];
    int suspect_count;
};

extern const char consumer_blockers_sql[];

static bool terminate(PGconn *conn, const struct suspect *suspect)
{
    struct error err;
    const char *values[] = {suspect->pid, suspect->started};
    PGresult *result = postgres_query_params(
        conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2", 2, values,
        QUERY_LIMIT_US, &err);
    const bool ended = result && PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    if (ended)
        log_warn("ended a server process of our own login that blocked this batch and did not move, as a frozen worker does",
                 "pid=%s", suspect->pid);
    return ended;
}

/* Notes who blocks us now; ends those that have blocked without moving for long enough. */
static bool look(struct reaper *reaper, PGconn *conn)
{
    struct error err;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", reaper->pid);
    const char *values[] = {pid};
    PGresult *result = postgres_query_params(conn, consumer_blockers_sql, 1, values, QUERY_LIMIT_US, &err);
    if (!result)
        return false;
    const int64_t now_us = clock_now_us();
    struct suspect seen[MOST_SUSPECTS];
    int count = 0;
    for (int i = 0; i < PQntuples(result) && count < MOST_SUSPECTS; i++) {
        struct suspect *suspect = &seen[count++];
        snprintf(suspect->pid, sizeof suspect->pid, "%s", PQgetvalue(result, i, 0));
        snprintf(suspect->started, sizeof suspect->started, "%s", PQgetvalue(result, i, 1));
        snprintf(suspect->progress, sizeof suspect->progress, "%s", PQgetvalue(result, i, 2));
        suspect->since_us = now_us;
        for (int k = 0; k < reaper->suspect_count; k++)
            if (strcmp(reaper->suspects[k].pid, suspect->pid) == 0 && strcmp(reaper->suspects[k].progress, suspect->progress) == 0)
                suspect->since_us = reaper->suspects[k].since_us;
    }
    PQclear(result);
    memcpy(reaper->suspects, seen, sizeof seen);
    reaper->suspect_count = count;
    for (int i = 0; i < count; i++)
        if (now_us - seen[i].since_us >= STILL_US)
            terminate(conn, &seen[i]);
    return true;
}

static void note_holder(struct reaper *reaper, PGconn *conn)
{
    char text[LOCK_TEXT_BYTES];
    lock_watch_ask(conn, reaper->pid, reaper->application, text);
    pthread_mutex_lock(&reaper->lock);
    memcpy(reaper->holder, text, sizeof text);
    pthread_mutex_unlock(&reaper->lock);
}

void reaper_holder(struct reaper *reaper, char text[LOCK_TEXT_BYTES])
{
    pthread_mutex_lock(&reaper->lock);
    memcpy(text, reaper->holder, LOCK_TEXT_BYTES);
    pthread_mutex_unlock(&reaper->lock);
}

static void *run(void *argument)
{
    struct reaper *reaper = argument;
    struct error err;
    const int64_t deadline_us = clock_now_us() + LIFE_US;
    PGconn *conn = postgres_open(reaper->dsn, "tallymill-consumer reaper", QUERY_LIMIT_US, &err);
    if (!conn)
        log_warn_because(&err, "cannot look for what blocks this batch", NULL);
    bool can_look = conn != NULL;
    for (unsigned turn = 0;
         can_look && !atomic_load(&reaper->stop) && clock_now_us() < deadline_us && (can_look = look(reaper, conn)); turn++) {
        if (turn % LOOKS_A_HOLDER == 0)
            note_holder(reaper, conn);
        const struct timespec pause = {0, LOOK_EVERY_US * 1000};
        nanosleep(&pause, NULL);
    }
    PQfinish(conn);
    atomic_store(&reaper->failed, !can_look);
    atomic_store(&reaper->done, true);
    return NULL;
}

struct reaper *reaper_start(const char *dsn, int pid, const char *application, struct error *err)
{
    struct reaper *reaper = calloc(1, sizeof *reaper);
    if (reaper && (reaper->dsn = strdup(dsn))) {
        reaper->pid = pid;
        snprintf(reaper->application, sizeof reaper->application, "%s", application ? application : "");
        pthread_mutex_init(&reaper->lock, NULL);
        if (pthread_create(&reaper->thread, NULL, run, reaper) == 0)
            return reaper;
    }
    if (reaper)
        free(reaper->dsn);
    free(reaper);
    error_set(err, ERROR_RETRY, "cannot start the thread that looks for blocking transactions");
    return NULL;
}

bool reaper_is_done(const struct reaper *reaper)
{
    return atomic_load(&reaper->done);
}

bool reaper_has_failed(const struct reaper *reaper)
{
    return atomic_load(&reaper->failed);
}

void reaper_stop(struct reaper *reaper)
{
    if (!reaper)
        return;
    atomic_store(&reaper->stop, true);
    pthread_join(reaper->thread, NULL);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper->dsn);
    free(reaper);
}
