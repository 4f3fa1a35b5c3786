/* adopt_statistics.c - see adopt.h: statistics of the old table that somebody else kept, beside ours.
 *
 * Theirs are shown, never taken over: which rows a job of others saw, and in whose days, nobody knows any more. Ours are counted
 * from the rows.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "operator/adopt.h"
#include "operator/answer.h"
#include "operator/terminal.h"

extern const char adopt_statistics_sql[];

#define SHORT_US (60 * CLOCK_SECOND_US)
#define SCAN_US  (3600 * CLOCK_SECOND_US)

static void print_lines(const char *lines)
{
    for (const char *line = lines; line[0] != '\0';) {
        char text[256];
        const size_t length = strcspn(line, "\n");
        snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text - 1), line);
        fputs("    ", stdout);
        terminal_text(stdout, text);
        putchar('\n');
        line += length + (line[length] == '\n');
    }
}

static void print_differences(const char *theirs, bool is_after, const PGresult *found)
{
    char rows[NUMBER_TEXT_BYTES], differing[NUMBER_TEXT_BYTES], only_theirs[NUMBER_TEXT_BYTES], only_ours[NUMBER_TEXT_BYTES],
        days[NUMBER_TEXT_BYTES];
    number_text(rows, answer_int(found, 0, "rows"));
    if (answer_int(found, 0, "waiting") > 0) {
        printf("  %s days wait for the aggregator, and are not compared with %s\n",
               number_text(days, answer_int(found, 0, "waiting")), theirs);
    }
    if (answer_int(found, 0, "rows") == 0) {
        return;
    }
    if (answer_int(found, 0, "days") == 0) {
        printf("  %s: %s rows, the same as ours\n", theirs, rows);
        return;
    }
    printf("  %s differs from %s on %s days: of %s rows %s have other figures, %s are only there, %s only in ours. The newest:\n",
           theirs, is_after ? "what is kept now" : "the rows of the table, counted in days of UTC",
           number_text(days, answer_int(found, 0, "days")), rows, number_text(differing, answer_int(found, 0, "differing")),
           number_text(only_theirs, answer_int(found, 0, "only_theirs")),
           number_text(only_ours, answer_int(found, 0, "only_ours")));
    print_lines(answer_text(found, 0, "lines"));
}

bool adopt_print_statistics(struct adopt *adopt, struct error *err)
{
    const char *const values[] = {adopt->time_zone};
    PGresult *ground = postgres_query_params(adopt->conn, adopt_statistics_sql, 1, values, SHORT_US, err);
    bool is_asked = ground != NULL;
    if (ground && PQntuples(ground) == 1) {
        PGresult *found = postgres_query(adopt->conn, answer_text(ground, 0, "query"), SCAN_US, err);
        if (found) {
            print_differences(answer_text(ground, 0, "theirs"), answer_bool(ground, 0, "is_after"), found);
        } else {
            is_asked = error_wrap(err, "comparing %s", answer_text(ground, 0, "theirs"));
        }
        PQclear(found);
    }
    PQclear(ground);
    return is_asked;
}
