/* top_frame.c - see top_frame.h. Text from servers passes terminal_text(). */
#include "operator/top_frame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/number_text.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/table.h"
#include "operator/terminal.h"

enum { BARS_WIDTH = 40, HEAD_ROWS = 9, LEAST_LOGS = 3 };

void top_frame_bars(const double *values, int count, int width, FILE *out)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = 0;
    const int first = count > width ? count - width : 0;
    for (int i = first; i < count; i++) {
        most = values[i] > most ? values[i] : most;
    }
    for (int i = first; i < count; i++) {
        const int height = most > 0 && values[i] > 0 ? (int)(values[i] / most * 7 + 0.5) : 0;
        fputs(bars[height], out);
    }
}

static void print_head(const struct top *top, const struct top_frame *frame, FILE *out)
{
    char time[CLOCK_TIME_BYTES];
    clock_format_time(time, frame->wall_us / CLOCK_SECOND_US * CLOCK_SECOND_US);
    fputs("tallymill top   topic ", out);
    terminal_text(out, settings_text(top->settings, "topics.events"));
    fprintf(out, "   %s%s\n", time,
            !frame->is_live    ? ""
            : frame->is_paused ? "   paused: p goes on, q ends"
                               : "   p pauses, q ends");
}

static void print_silence(const char *said, const char *silence, bool is_live, FILE *out)
{
    if (silence[0] != '\0') {
        fprintf(out, "%s%s: ", is_live ? "\x1b[1m" : "", said);
        terminal_text(out, silence);
        fputs(is_live ? "\x1b[0m\n" : "\n", out);
    }
}

static int64_t sum(const PGresult *totals, const char *column)
{
    int64_t all = 0;
    for (int row = 0; row < PQntuples(totals); row++) {
        all += answer_int(totals, row, column);
    }
    return all;
}

static void print_equation(const PGresult *totals, FILE *out)
{
    static const char *const parts[][2] = {{"stored", "stored"},
                                           {"duplicates", "duplicates"},
                                           {"dead_letters", "dead letters"},
                                           {"skipped", "skipped"},
                                           {"gaps", "gaps"}};
    char number[NUMBER_TEXT_BYTES];
    fprintf(out, "%s offsets", number_text(number, sum(totals, "consumed")));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fprintf(out, " %c %s %s", i == 0 ? '=' : '+', number_text(number, sum(totals, parts[i][0])), parts[i][1]);
    }
}

/* The verdict in a sentence, as the dashboard's page says it; what is to be done and how old it is in front, where no window is too
 * narrow for it. */
static void print_books(const struct top *top, const struct top_frame *frame, FILE *out)
{
    const struct top_books *books = &top->books;
    const bool is_away = top->postgres_silence[0] != '\0';
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    fputs("books        ", out);
    if (books->damages > 0) {
        fprintf(out, "%sdo not hold%s (run: tallymill audit --deep), damages: %s, the first: ", frame->is_live ? "\x1b[1m" : "",
                frame->is_live ? "\x1b[0m" : "", number_text(number, books->damages));
        terminal_text(out, books->damage);
        fputc('\n', out);
        return;
    }
    if (is_away || !books->totals || books->trouble[0] != '\0') {
        fputs(is_away ? "not proven while Postgres is away" : "not proven at the moment: ", out);
        terminal_text(out, is_away ? "" : books->trouble);
        fputc('\n', out);
        return;
    }
    const int64_t gaps = sum(books->totals, "gaps");
    if (sum(books->totals, "consumed") == 0) {
        fputs("nothing was stored yet\n", out);
        return;
    }
    fprintf(out, "add up, checked %s ago: ", terminal_age(age, frame->now_us - books->checked_us));
    if (gaps > 0) {
        fprintf(out, "%s offsets were gone from Kafka before they were read, each other one is accounted for, once",
                number_text(number, gaps));
    } else {
        fputs("each offset is accounted for, once", out);
    }
    fputs(" (tallymill audit counts the rows too); ", out);
    print_equation(books->totals, out);
    fputc('\n', out);
}

static void print_flow(const struct top *top, FILE *out)
{
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    const int64_t rate = top->rate_count > 0 ? (int64_t)(top->rates[top->rate_count - 1] + 0.5) : 0;
    fprintf(out, "stored       %12s /s  ", number_text(number, rate));
    top_frame_bars(top->rates, top->rate_count, BARS_WIDTH, out);
    fputc('\n', out);
    if (!top->backlog.logs) {
        fputs("lag               unknown\n", out);
        return;
    }
    const int64_t longest_us = backlog_longest_us(&top->backlog);
    fprintf(out, "lag          %12s     ", number_text(number, top->backlog.waiting));
    top_frame_bars(top->lags, top->lag_count, BARS_WIDTH, out);
    fprintf(out, "  %s%s\n",
            top->backlog.waiting == 0 ? ""
            : longest_us >= 0         ? "the oldest waits for "
                                      : "how long is not known",
            top->backlog.waiting > 0 && longest_us >= 0 ? terminal_age(age, longest_us) : "");
}

static void print_statistics(const struct top *top, FILE *out)
{
    const PGresult *facts = top->statistics;
    char number[NUMBER_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    if (top->sessions) {
        fprintf(out, "connected    %" PRId64 " workers\n", answer_int(top->sessions, 0, "consumers"));
    }
    if (!facts) {
        return;
    }
    fputs("statistics   ", out);
    if (answer_int(facts, 0, "pending_batches") == 0) {
        fputs("up to date", out);
    } else {
        fprintf(out, "%s behind, %s rows", terminal_age(age, answer_int(facts, 0, "behind_us")),
                number_text(number, answer_int(facts, 0, "pending_rows")));
    }
    fprintf(out, "; %s days wait for a rebuild; ", number_text(number, answer_int(facts, 0, "dirty_days")));
    if (answer_text(facts, 0, "leader")[0] == '\0') {
        fputs("no aggregator leads\n", out);
    } else {
        fputs("leader ", out);
        terminal_text(out, answer_text(facts, 0, "leader"));
        fprintf(out, ", seen %s ago\n", terminal_age(age, answer_int(facts, 0, "leader_seen_us")));
    }
}

static void print_dead_letters(const struct top *top, FILE *out)
{
    char number[NUMBER_TEXT_BYTES];
    int64_t fresh = 0;
    if (!top->dead_letters) {
        return;
    }
    fputs("dead letters ", out);
    for (int row = 0; row < PQntuples(top->dead_letters); row++) {
        fputs(row > 0 ? ", " : "", out);
        terminal_text(out, answer_text(top->dead_letters, row, "reason"));
        fprintf(out, " %s", number_text(number, answer_int(top->dead_letters, row, "waiting")));
        fresh += answer_int(top->dead_letters, row, "fresh");
    }
    if (PQntuples(top->dead_letters) == 0) {
        fputs("none waits\n", out);
    } else {
        fprintf(out, " (of the last hour: %s)\n", number_text(number, fresh));
    }
}

/* For the order of topic partitions: what waits most comes first. */
struct place {
    int topic_partition;
    int64_t waiting;
};

static int by_lag(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->waiting != b->waiting) {
        return a->waiting < b->waiting ? 1 : -1;
    }
    return a->topic_partition - b->topic_partition;
}

static void add_log(const struct top *top, struct table *table, const struct place *place)
{
    const struct backlog_log *log = &top->backlog.logs[place->topic_partition];
    const bool is_known = place->topic_partition < top->log_count;
    char number[16], lag[NUMBER_TEXT_BYTES], rate[NUMBER_TEXT_BYTES], waits[TERMINAL_AGE_BYTES] = "",
                                                                      commit[TERMINAL_AGE_BYTES] = "never";
    const int64_t age_us = backlog_age_us(&top->backlog, place->topic_partition);
    snprintf(number, sizeof number, "%d", place->topic_partition);
    if (log->waiting > 0 && age_us >= 0) {
        terminal_age(waits, age_us);
    }
    if (log->commit_age_us >= 0) {
        terminal_age(commit, log->commit_age_us);
    }
    const char *const cells[] = {number, number_text(lag, log->waiting),
                                 waits,  number_text(rate, is_known ? (int64_t)(top->logs[place->topic_partition].rate + 0.5) : 0),
                                 commit, log->owner};
    table_add(table, cells);
}

/* So many lines as have room; without Kafka's ends there is no lag to sort by, and no line. */
static void print_logs(const struct top *top, const struct top_frame *frame, FILE *out)
{
    static const char *const heads[] = {"topic partition", "lag", "waits", "stored/s", "last commit", "owner"};
    const int count = top->backlog.logs ? top->backlog.count : 0,
              room = frame->rows - HEAD_ROWS > LEAST_LOGS ? frame->rows - HEAD_ROWS : LEAST_LOGS;
    struct place *places = calloc((size_t)count + 1, sizeof *places);
    struct table *table = table_new("rrrrrl", heads);
    for (int i = 0; places && i < count; i++) {
        places[i] = (struct place){i, top->backlog.logs[i].waiting};
    }
    if (places && count > 0) {
        qsort(places, (size_t)count, sizeof *places, by_lag);
        for (int i = 0; i < count && (frame->rows == 0 || i < room); i++) {
            add_log(top, table, &places[i]);
        }
        fputc('\n', out);
        table_print(table, "", out);
    }
    table_free(table);
    free(places);
}

void top_frame_print(const struct top *top, const struct top_frame *frame, FILE *out)
{
    print_head(top, frame, out);
    print_silence("Postgres does not answer", top->postgres_silence, frame->is_live, out);
    print_silence(top->is_kafka_away ? "Kafka does not answer" : "Kafka", top->kafka_silence, frame->is_live, out);
    if (top->positions) {
        print_books(top, frame, out);
    }
    print_flow(top, out);
    print_statistics(top, out);
    print_dead_letters(top, out);
    print_logs(top, frame, out);
}
