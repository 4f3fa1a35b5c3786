/* reader.c - see reader.h.
 *
 * Each question stands behind a savepoint, sent in the same message, so that a panel whose table is not there does not end the
 * snapshot of the others. A failed connection is not tried again within a second, whoever asks: while Postgres is away, every page
 * of every viewer asks.
 */
#include "operator/dashboard/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/disk.h"
#include "common/error.h"
#include "common/lock_watch.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"
#include "common/statement.h"

#define OPEN_US  (4 * CLOCK_SECOND_US)
#define QUERY_US (6 * CLOCK_SECOND_US)
#define PAUSE_US (1 * CLOCK_SECOND_US)
#define JOIN_US  (1 * CLOCK_SECOND_US)  /* each step of a helper's: a page does without one that takes longer */
#define REST_US  (60 * CLOCK_SECOND_US) /* after a helper that could not join: where one cannot now, the next could not either */

/* A question takes some tens of milliseconds: to compile it, or to start processes that help with it, would take longer, and the
 * cores are the pipeline's. */
static const char session_sql[] =
    "SET LOCAL statement_timeout = '5s'; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0";

enum { SNAPSHOT_BYTES = 64 };

struct reader {
    PGconn *conn;
    bool is_taken;
};

struct readers {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct settings *settings;
    struct error failure; /* of the last try to connect */
    int64_t failed_us;
    int64_t join_at_us; /* no helper is tried before */
    int count, helpers;
    struct reader list[]; /* `count`, and behind them the helpers, which only help */
};

struct readers *readers_new(struct settings *settings, int count, int helpers)
{
    struct readers *readers = calloc(1, sizeof *readers + (size_t)(count + helpers) * sizeof readers->list[0]);
    if (!readers)
        return NULL;
    readers->settings = settings;
    readers->count = count;
    readers->helpers = helpers;
    pthread_mutex_init(&readers->lock, NULL);
    pthread_cond_init(&readers->given, NULL);
    return readers;
}

void readers_free(struct readers *readers)
{
    if (!readers)
        return;
    for (int i = 0; i < readers->count + readers->helpers; i++)
        PQfinish(readers->list[i].conn);
    pthread_cond_destroy(&readers->given);
    pthread_mutex_destroy(&readers->lock);
    free(readers);
}

static void drop(struct reader *reader)
{
    PQfinish(reader->conn);
    reader->conn = NULL;
}

/* Under the lock: so the file of a password is read by one at a time, and a server that is away is asked once. */
static bool connect_reader(struct readers *readers, struct reader *reader, struct error *err)
{
    if (readers->failed_us != 0 && clock_now_us() - readers->failed_us < PAUSE_US) {
        *err = readers->failure;
        return false;
    }
    bool is_open = settings_refresh_dsn(readers->settings, err);
    if (is_open)
        reader->conn = postgres_open(settings_text(readers->settings, "postgres.dsn"), "tallymill dashboard", OPEN_US, err);
    is_open = reader->conn && postgres_check_schema(reader->conn, err);
    if (!is_open) {
        drop(reader);
        readers->failure = *err;
        readers->failed_us = clock_now_us();
        return false;
    }
    readers->failed_us = 0;
    return true;
}

static bool begin(struct reader *reader, struct error *err)
{
    return postgres_exec(reader->conn, POSTGRES_BEGIN("REPEATABLE READ READ ONLY"), QUERY_US, err) &&
           postgres_exec(reader->conn, session_sql, QUERY_US, err);
}

static bool begin_joined(struct reader *reader, const char *snapshot, struct error *err)
{
    char sql[sizeof POSTGRES_BEGIN_JOINED("REPEATABLE READ READ ONLY") + SNAPSHOT_BYTES];
    snprintf(sql, sizeof sql, POSTGRES_BEGIN_JOINED("REPEATABLE READ READ ONLY"), snapshot);
    return postgres_exec(reader->conn, sql, JOIN_US, err) && postgres_exec(reader->conn, session_sql, JOIN_US, err);
}

/* The name of its snapshot. Not behind a savepoint, where Postgres exports none: so a failure ends the transaction, and it begins
 * again. */
static bool export_snapshot(struct reader *reader, char snapshot[SNAPSHOT_BYTES])
{
    struct error ignored = {0};
    PGresult *result = postgres_query(reader->conn, "SELECT pg_catalog.pg_export_snapshot()", QUERY_US, &ignored);
    const char *name = result ? PQgetvalue(result, 0, 0) : "";
    const size_t length = strspn(name, "0123456789ABCDEF-"); /* it becomes text of a statement */
    const bool is_exported = length > 0 && length < SNAPSHOT_BYTES && name[length] == '\0';
    if (is_exported)
        memcpy(snapshot, name, length + 1);
    else if (!result && (PQtransactionStatus(reader->conn) == PQTRANS_ACTIVE ||
                         !postgres_exec(reader->conn, "ROLLBACK", QUERY_US, &ignored) || !begin(reader, &ignored)))
        drop(reader);
    PQclear(result);
    return is_exported;
}

/* One that nobody has, the connected ones first. Under the lock. */
static struct reader *find_free(struct readers *readers)
{
    struct reader *found = NULL;
    for (int i = 0; i < readers->count; i++)
        if (!readers->list[i].is_taken && (!found || readers->list[i].conn))
            found = &readers->list[i];
    return found;
}

struct reader *readers_take(struct readers *readers, struct error *err)
{
    struct reader *reader;
    pthread_mutex_lock(&readers->lock);
    while ((reader = find_free(readers)) == NULL) /* ends: each that is taken is given back */
        pthread_cond_wait(&readers->given, &readers->lock);
    reader->is_taken = true;
    bool is_ready = reader->conn || connect_reader(readers, reader, err);
    pthread_mutex_unlock(&readers->lock);
    if (is_ready && begin(reader, err))
        return reader;
    if (is_ready) { /* it has broken while it lay there: once more, anew */
        drop(reader);
        error_clear(err);
        pthread_mutex_lock(&readers->lock);
        is_ready = connect_reader(readers, reader, err);
        pthread_mutex_unlock(&readers->lock);
        if (is_ready && begin(reader, err))
            return reader;
        drop(reader);
    }
    readers_give(readers, reader);
    return NULL;
}

struct reader *readers_join(struct readers *readers, struct reader *reader)
{
    struct error ignored = {0};
    char snapshot[SNAPSHOT_BYTES], *dsn = NULL;
    struct reader *helper = NULL;
    pthread_mutex_lock(&readers->lock);
    for (int i = readers->count; i < readers->count + readers->helpers && clock_now_us() >= readers->join_at_us; i++)
        if (!readers->list[i].is_taken && (!helper || readers->list[i].conn))
            helper = &readers->list[i];
    if (helper) {
        helper->is_taken = true;
        dsn = strdup(settings_text(readers->settings, "postgres.dsn")); /* the page's own reader has just read it */
    }
    pthread_mutex_unlock(&readers->lock);
    if (!helper)
        return NULL;
    if (!helper->conn && dsn)
        helper->conn = postgres_open(dsn, "tallymill dashboard", JOIN_US, &ignored);
    free(dsn);
    if (helper->conn && export_snapshot(reader, snapshot) && begin_joined(helper, snapshot, &ignored))
        return helper;
    drop(helper);
    pthread_mutex_lock(&readers->lock);
    readers->join_at_us = clock_now_us() + REST_US;
    pthread_mutex_unlock(&readers->lock);
    readers_give(readers, helper);
    return NULL;
}

void readers_give(struct readers *readers, struct reader *reader)
{
    struct error ignored = {0};
    if (reader->conn && (PQtransactionStatus(reader->conn) == PQTRANS_ACTIVE || PQstatus(reader->conn) != CONNECTION_OK ||
                         !postgres_exec(reader->conn, "ROLLBACK", QUERY_US, &ignored)))
        drop(reader);
    pthread_mutex_lock(&readers->lock);
    reader->is_taken = false;
    pthread_cond_signal(&readers->given);
    pthread_mutex_unlock(&readers->lock);
}

/* What a failed question leaves: the snapshot as it was, or a connection that is of no use any more. */
static void settle(struct reader *reader, bool is_answered, struct error *err)
{
    struct error ignored = {0};
    if (!is_answered && reader->conn &&
        (PQstatus(reader->conn) != CONNECTION_OK || PQtransactionStatus(reader->conn) == PQTRANS_ACTIVE ||
         !postgres_exec(reader->conn, "ROLLBACK TO SAVEPOINT question", QUERY_US, &ignored)))
        drop(reader);
    if (!is_answered && err->kind == ERROR_NONE)
        error_set(err, ERROR_RETRY, "the connection to Postgres was lost");
}

PGresult *reader_ask(struct reader *reader, const char *sql, struct error *err)
{
    static const char before[] = "SAVEPOINT question; ";
    const size_t size = sizeof before + strlen(sql);
    char *text = malloc(size);
    if (!text) {
        error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    snprintf(text, size, "%s%s", before, sql);
    PGresult *result = reader->conn ? postgres_query(reader->conn, text, QUERY_US, err) : NULL;
    free(text);
    settle(reader, result != NULL, err);
    return result;
}

PGresult *reader_ask_params(struct reader *reader, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = NULL;
    if (reader->conn && postgres_exec(reader->conn, "SAVEPOINT question", QUERY_US, err))
        result = postgres_query_params(reader->conn, sql, count, values, QUERY_US, err);
    settle(reader, result != NULL, err);
    return result;
}

bool reader_disk(struct reader *reader, int64_t size_bytes, struct disk *disk, struct error *err)
{
    const bool is_seen = reader->conn && postgres_exec(reader->conn, "SAVEPOINT question", QUERY_US, err) &&
                         disk_look(reader->conn, size_bytes, disk, err);
    settle(reader, is_seen, err);
    return is_seen;
}

PGresult *reader_ask_long(struct reader *reader, const char *sql, int64_t timeout_us, struct error *err)
{
    if (!reader->conn || !postgres_exec(reader->conn, "SET LOCAL statement_timeout = 0", QUERY_US, err))
        return NULL;
    return postgres_query(reader->conn, sql, timeout_us, err);
}

/* A wait that its asker may end; who holds the lock that it waits for is told as elsewhere. */
struct patience {
    struct lock_watch locks;
    bool (*is_wanted)(void *context);
    void *context;
};

static void start(void *context, int64_t now_us)
{
    struct patience *patience = context;
    lock_watch_start(&patience->locks, now_us);
}

static bool look(void *context, PGconn *conn, int64_t now_us, bool is_silent, struct error *err)
{
    struct patience *patience = context;
    if (!patience->is_wanted(patience->context))
        return error_set(err, ERROR_RETRY, "nobody waits for it any more");
    return lock_watch_statements.look(&patience->locks, conn, now_us, is_silent, err);
}

static void explain(void *context, PGconn *conn, struct error *err)
{
    struct patience *patience = context;
    lock_watch_statements.explain(&patience->locks, conn, err);
}

PGresult *reader_ask_while(struct reader *reader, const char *sql, int64_t timeout_us, bool (*is_wanted)(void *context),
                           void *context, struct error *err)
{
    static const struct statement_watch watch = {.start = start, .look = look, .explain = explain};
    struct patience patience = {.is_wanted = is_wanted, .context = context};
    if (!reader->conn || !postgres_exec(reader->conn, "SET LOCAL statement_timeout = 0", QUERY_US, err))
        return NULL;
    struct statement_wait wait = statement_wait_for(timeout_us);
    wait.watch = &watch;
    wait.context = &patience;
    wait.is_cancelled_late = true;
    return statement_ask(reader->conn, sql, 0, NULL, &wait, err);
}
