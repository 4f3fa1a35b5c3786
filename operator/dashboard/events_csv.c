/* events_csv.c - GET /api/v1/events.csv: raw events by name, category, users, time, user and session, streamed in one snapshot.
 *
 * A cursor is read in pieces while they are sent, so that neither the result nor its CSV is ever in memory whole; a client that
 * does not read holds one reader until the deadline of its request. Values from the request are parameters, never text of a query;
 * that text has a condition for each filter that was asked for and none for the others, so that a rare user is found by an index.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/log.h"
#include "common/utf8.h"
#include "operator/dashboard/reader.h"
#include "operator/dashboard/rows.h"
#include "operator/dashboard/site.h"

extern const char events_csv_sql[], events_filter_sql[];

/* A piece is there twice, as it came and as CSV. Events of the usual size are sent as fast by a hundred as by a thousand. */
enum { SECONDS = 600, PIECE_ROWS = 100, PIECE_BYTES = 1 << 20, FILTER_BYTES = 16 };

struct export
{
    struct site *site;
    struct http_request *request;
    struct reader *reader;
    int64_t until_us; /* of the request, whatever a piece takes */
    bool is_raw, has_head, is_over;
    int64_t left;   /* rows that may be sent still */
    int piece_rows; /* of the next piece, at most */
    char *text;     /* of the piece that is being sent */
    size_t length, sent;
};

/* The last row, where there are more than may be sent: whoever reads the file sees that it was cut. */
static void write_cut(const struct export *export, const PGresult *result, FILE *out)
{
    fprintf(out, "cut behind %" PRId64 " rows of any day (dashboard.export_rows): ask for fewer days", export->site->export_rows);
    for (int column = 1; column < PQnfields(result); column++)
        putc(',', out);
    fputs("\r\n", out);
}

static bool write_piece(struct export *export, const PGresult *result, FILE *out)
{
    const int rows = PQntuples(result);
    const bool is_cut = export->left == 0 && rows > 0;
    if (!export->has_head && !rows_csv_head(result, out))
        return false;
    export->has_head = true;
    export->is_over = rows == 0 || is_cut;
    if (is_cut)
        write_cut(export, result, out);
    else
        export->left -= rows;
    return is_cut || rows_csv(result, export->is_raw, out);
}

/* A condition that few events meet may be looked for in all of them: not behind the back of whoever left. */
static bool is_wanted(void *context)
{
    const struct export *export = context;
    return !http_is_late(export->request) && !http_is_left(export->request);
}

/* Fewer rows at once where the last were large, and slowly more again. */
static void fit_piece(struct export *export)
{
    if (export->length > PIECE_BYTES)
        export->piece_rows = (export->piece_rows + 1) / 2;
    else if (export->length < PIECE_BYTES / 4 && export->piece_rows < PIECE_ROWS)
        export->piece_rows = export->piece_rows * 2 < PIECE_ROWS ? export->piece_rows * 2 : PIECE_ROWS;
}

static bool read_piece(struct export *export)
{
    struct error err = {0};
    char fetch[64];
    snprintf(fetch, sizeof fetch, "FETCH FORWARD %d FROM events",
             export->left == 0                   ? 1
             : export->left < export->piece_rows ? (int)export->left
                                                 : export->piece_rows);
    PGresult *result = reader_ask_while(export->reader, fetch, export->until_us - clock_now_us(), is_wanted, export, &err);
    free(export->text);
    export->text = NULL;
    export->sent = export->length = 0;
    FILE *out = result ? open_memstream(&export->text, &export->length) : NULL;
    bool is_good = out != NULL;
    if (out) {
        is_good = write_piece(export, result, out);
        is_good &= fclose(out) == 0;
    }
    PQclear(result);
    fit_piece(export);
    if (!is_good)
        log_warn_because(&err, "an export of events broke off", NULL);
    return is_good;
}

static ssize_t read_export(void *context, char *bytes, size_t size)
{
    struct export *export = context;
    while (export->sent == export->length) { /* ends: with the cursor */
        if (export->is_over)
            return 0;
        if (!read_piece(export))
            return -1;
    }
    const size_t left = export->length - export->sent, count = left < size ? left : size;
    memcpy(bytes, export->text + export->sent, count);
    export->sent += count;
    return (ssize_t)count;
}

static void close_export(void *context)
{
    struct export *export = context;
    readers_give(export->site->readers, export->reader);
    atomic_fetch_sub(&export->site->exports, 1);
    free(export->text);
    free(export);
}

static const char *said(const struct http_request *request, const char *name)
{
    const char *value = http_query(request, name);
    return value ? value : "";
}

/* Whether the line of events_csv.sql belongs to what is asked for: it ends in the name of a filter that was said, or in none. */
static bool is_asked(const char *line, size_t length, const struct http_request *request, const struct range *range)
{
    static const char mark[] = " -- ";
    const char *name = memmem(line, length, mark, sizeof mark - 1);
    char filter[FILTER_BYTES];
    if (!name)
        return true;
    name += sizeof mark - 1;
    snprintf(filter, sizeof filter, "%.*s", (int)(line + length - name), name);
    if (strcmp(filter, "external") == 0 || strcmp(filter, "internal") == 0)
        return strcmp(filter, range->who) == 0;
    return said(request, filter)[0] != '\0';
}

/* The cursor for what is asked for; the caller frees it. NULL: no memory. */
static char *cursor_sql(const struct http_request *request, const struct range *range)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (const char *line = events_csv_sql; out && *line != '\0';) { /* ends: with the text */
        const size_t length = strcspn(line, "\n");
        if (is_asked(line, length, request, range))
            fprintf(out, "%.*s\n", (int)length, line);
        line += length + (line[length] != '\0');
    }
    if (!out || fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static bool begin(struct reader *reader, struct http_request *request, const struct range *range, int64_t most, struct error *err)
{
    char first[CLOCK_DAY_BYTES], behind[CLOCK_DAY_BYTES], rows[24];
    clock_format_day(first, range->first);
    clock_format_day(behind, range->last + 1);
    snprintf(rows, sizeof rows, "%" PRId64, most + 1); /* one more says that there are more */
    const char *const values[] = {
        first, behind, rows, said(request, "name"), said(request, "category"), said(request, "user"), said(request, "session")};
    char *cursor = cursor_sql(request, range);
    if (!cursor)
        return error_set(err, ERROR_RETRY, "out of memory");
    PGresult *filter = reader_ask_params(reader, events_filter_sql, sizeof values / sizeof *values, values, err);
    PGresult *result = filter ? reader_ask(reader, cursor, err) : NULL;
    PQclear(filter);
    PQclear(result);
    free(cursor);
    return result != NULL;
}

/* Whether the user that is asked for can be one: a bigint. Else the answer says so. */
static bool is_user(const struct http_request *request, struct http_answer *answer)
{
    const char *user = said(request, "user");
    char *end, text[ERROR_TEXT_BYTES];
    errno = 0;
    strtoll(user, &end, 10);
    if (user[0] == '\0' || (end != user && *end == '\0' && errno == 0))
        return true;
    snprintf(text, sizeof text, "user is a whole number of 64 bits, not \"%.*s\"", UTF8_CUT(user, 40));
    site_json(answer, 400, json_pack("{s:s, s:s}", "error", text, "kind", "request"));
    return false;
}

void events_csv_answer(struct site *site, struct http_request *request, struct http_answer *answer)
{
    struct error err = {0};
    struct range range;
    const char *raw = http_query(request, "raw");
    if (site->export_rows == 0) {
        http_answer_text(answer, 403, "raw events are not exported here (dashboard.export_rows = 0)\n");
        return;
    }
    if (!site_range(request, answer, &range) || !is_user(request, answer))
        return;
    if (atomic_fetch_add(&site->exports, 1) >= SITE_EXPORTS) { /* a thread that waited for a reader could wait for its own */
        atomic_fetch_sub(&site->exports, 1);
        http_answer_text(answer, 503, "two exports are under way: try again when one is done\n");
        return;
    }
    struct export *export = calloc(1, sizeof *export);
    struct reader *reader = export ? readers_take(site->readers, &err) : NULL;
    if (!reader || !begin(reader, request, &range, site->export_rows, &err)) {
        if (reader)
            readers_give(site->readers, reader);
        atomic_fetch_sub(&site->exports, 1);
        free(export);
        site_failed(answer, &err);
        return;
    }
    *export = (struct export){.site = site,
                              .request = request,
                              .reader = reader,
                              .until_us = clock_now_us() + SECONDS * CLOCK_SECOND_US,
                              .is_raw = raw && strcmp(raw, "1") == 0,
                              .left = site->export_rows,
                              .piece_rows = PIECE_ROWS};
    http_allow(request, SECONDS);
    http_answer_status(answer, 200, "text/csv; charset=utf-8");
    http_answer_header(answer, "Content-Disposition", "attachment; filename=\"events.csv\"");
    http_answer_stream(answer, (struct http_stream){read_export, close_export, export});
}
