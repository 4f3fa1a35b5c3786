/* top_look.c - see top_look.h.
 *
 * Rates are the positions' own: offsets that the ledger has gained between two looks, which is one query of a millisecond, whatever
 * the tables hold. A Kafka that is away is asked again only every few seconds, for each question waits for its deadline, and keys
 * wait with it. Dead letters are counted, so they are asked for more rarely, and the books, which are read whole, each minute and
 * behind all else: a ledger of millions of rows takes as long as its deadline, and is not proven here then.
 */
#include "operator/top_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/topic.h"

extern const char status_statistics_sql[], top_dead_letters_sql[], sessions_sql[], audit_totals_sql[], audit_offsets_sql[],
    audit_equation_sql[];

enum { KAFKA_MS = 2000 };

#define QUERY_US        (3 * CLOCK_SECOND_US)
#define DEAD_LETTERS_US (5 * CLOCK_SECOND_US)
#define KAFKA_AGAIN_US  (5 * CLOCK_SECOND_US)
#define BOOKS_US        (60 * CLOCK_SECOND_US)

static bool keep_open(struct top *top, struct error *err)
{
    if (!top->conn) {
        top->conn = postgres_open(settings_text(top->settings, "postgres.dsn"), "tallymill top", QUERY_US, err);
    } else {
        return true;
    }
    return top->conn && postgres_check_schema(top->conn, err);
}

/* The answer in the place of the one before, which stays where there is none. */
static bool replace(struct top *top, PGresult **kept, const char *sql, struct error *err)
{
    PGresult *result = postgres_query(top->conn, sql, QUERY_US, err);
    if (!result) {
        return false;
    }
    PQclear(*kept);
    *kept = result;
    return true;
}

static bool ask_postgres(struct top *top, int64_t now_us, struct error *err)
{
    if (!keep_open(top, err) || !postgres_exec(top->conn, POSTGRES_BEGIN("REPEATABLE READ READ ONLY"), QUERY_US, err)) {
        return false;
    }
    const bool is_due = !top->dead_letters || now_us - top->dead_letters_us >= DEAD_LETTERS_US;
    backlog_free(&top->backlog); /* it borrows from the positions */
    const bool is_read =
        replace(top, &top->positions, backlog_positions_sql, err) && replace(top, &top->statistics, status_statistics_sql, err) &&
        replace(top, &top->sessions, sessions_sql, err) && (!is_due || replace(top, &top->dead_letters, top_dead_letters_sql, err));
    top->dead_letters_us = is_due ? now_us : top->dead_letters_us;
    return is_read && postgres_exec(top->conn, "ROLLBACK", QUERY_US, err);
}

static bool add_damages(struct top *top, const char *sql, struct error *err)
{
    PGresult *found = postgres_query(top->conn, sql, QUERY_US, err);
    if (found && PQntuples(found) > 0 && top->books.damages == 0) {
        snprintf(top->books.damage, sizeof top->books.damage, "%s, topic partition %s, offset %s: %s",
                 answer_text(found, 0, "topic"), answer_text(found, 0, "topic_partition"), answer_text(found, 0, "first_offset"),
                 answer_text(found, 0, "damage"));
    }
    top->books.damages += found ? PQntuples(found) : 0;
    PQclear(found);
    return found != NULL;
}

/* In a transaction of its own: a ledger that is too long to be read in time takes nothing else with it. */
static void ask_books(struct top *top, int64_t now_us)
{
    struct error err = {0};
    if (top->books.tried_us != 0 && now_us - top->books.tried_us < BOOKS_US) {
        return;
    }
    top->books.tried_us = now_us;
    top->books.damages = 0;
    top->books.trouble[0] = '\0';
    const bool is_asked = postgres_exec(top->conn, POSTGRES_BEGIN("REPEATABLE READ READ ONLY"), QUERY_US, &err) &&
                          replace(top, &top->books.totals, audit_totals_sql, &err) && add_damages(top, audit_offsets_sql, &err) &&
                          add_damages(top, audit_equation_sql, &err);
    if (is_asked && postgres_exec(top->conn, "ROLLBACK", QUERY_US, &err)) {
        top->books.checked_us = now_us;
        return;
    }
    snprintf(top->books.trouble, sizeof top->books.trouble, "%s", err.text);
    error_clear(&err);
    PQfinish(top->conn); /* an answer may be outstanding: the next look opens another */
    top->conn = NULL;
}

static void push(double history[TOP_HISTORY], int *count, double value)
{
    if (*count == TOP_HISTORY) {
        memmove(history, history + 1, (TOP_HISTORY - 1) * sizeof *history);
        (*count)--;
    }
    history[(*count)++] = value;
}

/* Room for `count` topic partitions; those that are new begin without a rate. */
static bool grow(struct top *top, int count)
{
    if (count <= top->log_count) {
        return true;
    }
    struct top_log *logs = realloc(top->logs, (size_t)count * sizeof *logs);
    if (!logs) {
        return false;
    }
    top->logs = logs;
    for (; top->log_count < count; top->log_count++) {
        top->logs[top->log_count] = (struct top_log){.next_offset = -1};
    }
    return true;
}

/* The rates since the look before. */
static void compare(struct top *top, int64_t now_us)
{
    const char *topic = settings_text(top->settings, "topics.events");
    const double seconds = (double)(now_us - top->positions_us) / CLOCK_SECOND_US;
    const bool is_first = top->positions_us == 0 || seconds <= 0;
    double all = 0;
    for (int row = 0; row < PQntuples(top->positions); row++) {
        const int number = (int)answer_int(top->positions, row, "topic_partition");
        if (strcmp(answer_text(top->positions, row, "topic"), topic) != 0 || !grow(top, number + 1)) {
            continue;
        }
        struct top_log *log = &top->logs[number];
        const int64_t next_offset = answer_int(top->positions, row, "next_offset");
        const int64_t gained = log->next_offset < 0 ? 0 : next_offset - log->next_offset;
        log->rate = is_first || gained < 0 ? 0 : (double)gained / seconds;
        log->next_offset = next_offset;
        all += log->rate;
    }
    if (!is_first) {
        push(top->rates, &top->rate_count, all);
    }
    top->positions_us = now_us;
}

static void ask_kafka(struct top *top, int64_t now_us)
{
    struct error err = {0};
    if (top->kafka_silence[0] != '\0' && now_us - top->kafka_us < KAFKA_AGAIN_US) {
        return;
    }
    top->kafka_us = now_us;
    top->kafka_silence[0] = '\0';
    if ((!top->client && !(top->client = topic_client(top->settings, &err))) ||
        !backlog_read(top->positions, top->client, settings_text(top->settings, "topics.events"), KAFKA_MS, true, &top->backlog,
                      NULL, &err)) {
        snprintf(top->kafka_silence, sizeof top->kafka_silence, "%s", err.text);
        top->is_kafka_away = err.kind == ERROR_RETRY;
        return;
    }
    push(top->lags, &top->lag_count, (double)top->backlog.waiting);
}

bool top_look(struct top *top, int64_t now_us, struct error *err)
{
    top->postgres_silence[0] = '\0';
    if (!ask_postgres(top, now_us, err)) {
        PQfinish(top->conn);
        top->conn = NULL;
        snprintf(top->postgres_silence, sizeof top->postgres_silence, "%s", err->text);
        return err->kind == ERROR_RETRY;
    }
    compare(top, now_us);
    ask_kafka(top, now_us);
    ask_books(top, now_us);
    return true;
}

void top_free(struct top *top)
{
    backlog_free(&top->backlog);
    PQclear(top->positions);
    PQclear(top->statistics);
    PQclear(top->dead_letters);
    PQclear(top->sessions);
    PQclear(top->books.totals);
    PQfinish(top->conn);
    if (top->client) {
        rd_kafka_destroy(top->client);
    }
    free(top->logs);
    *top = (struct top){0};
}
