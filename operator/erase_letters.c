/* erase_letters.c - see erase.h: dead letters keep an event's bytes, and so whose it was. A page at a time, as many as have 2 MiB.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/step_teller.h"

extern const char erase_letters_sql[], erase_empty_sql[];

enum { KEY = 4, NAMED_MAX = 20 };

/* The place behind which the next page begins. */
struct place_behind {
    char topic[256], topic_partition[24], offset[24];
};

static enum erase_letter look(const struct erase_run *run, const PGresult *page, int row)
{
    size_t lengths[2] = {0, 0};
    unsigned char *bytes[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (!PQgetisnull(page, row, KEY + i)) {
            bytes[i] = PQunescapeBytea((const unsigned char *)PQgetvalue(page, row, KEY + i), &lengths[i]);
        }
    }
    const enum erase_letter found = erase_subject_look(&run->subject, bytes[0], lengths[0], bytes[1], lengths[1]);
    PQfreemem(bytes[0]);
    PQfreemem(bytes[1]);
    return found;
}

static bool empty(struct erase_run *run, const PGresult *page, int row, const char *count, struct error *err)
{
    char erasure[24];
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    const char *const values[] = {PQgetvalue(page, row, 0), PQgetvalue(page, row, 1), PQgetvalue(page, row, 2), erasure, count};
    PGresult *emptied = run->is_dry ? NULL : postgres_query_params(run->conn, erase_empty_sql, 5, values, ERASE_QUERY_US, err);
    PQclear(emptied);
    return run->is_dry || emptied;
}

static bool take(struct erase_run *run, const PGresult *page, int row, struct error *err)
{
    const enum erase_letter found = look(run, page, row);
    run->unread += found == LETTER_UNREAD;
    if (found == LETTER_THEIRS) {
        run->letters++;
        return empty(run, page, row, "dead_letters", err);
    }
    if (found == LETTER_PERHAPS && run->takes_undecodable) {
        run->undecodable++;
        return empty(run, page, row, "undecodable", err);
    }
    if (found == LETTER_PERHAPS) {
        if (run->perhaps++ >= NAMED_MAX) {
            return true; /* so many are counted at the end */
        }
        erase_remark(run, true,
                     "dead letter %s:%s of topic %s cannot be read and holds a session's text: tallymill dlq show --at %s:%s; "
                     "--undecodable drops its bytes",
                     PQgetvalue(page, row, 1), PQgetvalue(page, row, 2), PQgetvalue(page, row, 0), PQgetvalue(page, row, 1),
                     PQgetvalue(page, row, 2));
    }
    return true;
}

static PGresult *next_page(struct erase_run *run, const struct place_behind *behind, const char *start, struct error *err)
{
    const char *const values[] = {behind->topic, behind->topic_partition, behind->offset, start};
    return postgres_query_params(run->conn, erase_letters_sql, 4, values, ERASE_QUERY_US, err);
}

bool erase_letters(struct erase_run *run, struct error *err)
{
    struct place_behind behind = {"", "-1", "-1"};
    step_teller_begin("tallymill erase", "looks for them in dead letters");
    PGresult *start = postgres_query(run->conn, "SELECT clock_timestamp()", ERASE_QUERY_US, err);
    bool is_good = start != NULL;
    for (bool has_more = true; is_good && has_more;) { /* ends: the place moves on among what was dead at the start */
        PGresult *page = next_page(run, &behind, PQgetvalue(start, 0, 0), err);
        const int rows = page ? PQntuples(page) : 0;
        is_good = page != NULL;
        for (int row = 0; is_good && row < rows; row++) {
            is_good = take(run, page, row, err);
        }
        has_more = rows > 0;
        if (has_more) {
            snprintf(behind.topic, sizeof behind.topic, "%s", PQgetvalue(page, rows - 1, 0));
            snprintf(behind.topic_partition, sizeof behind.topic_partition, "%s", PQgetvalue(page, rows - 1, 1));
            snprintf(behind.offset, sizeof behind.offset, "%s", PQgetvalue(page, rows - 1, 2));
        }
        PQclear(page);
    }
    PQclear(start);
    if (is_good && run->perhaps > NAMED_MAX) {
        erase_remark(run, true, "%" PRId64 " more dead letters of that kind", run->perhaps - NAMED_MAX);
    }
    if (is_good && run->unread > 0) {
        erase_remark(
            run, false,
            "%" PRId64
            " dead letters cannot be read, so nobody knows whose they are (no session's text is in them): tallymill dlq lists them",
            run->unread);
    }
    return is_good;
}
