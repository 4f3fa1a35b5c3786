/* csv_rows.c - see csv_rows.h. Postgres doubles a quote inside of quotes, so whether a line end is quoted is whether the quotes
 * before it are odd in number. */
#include "operator/csv_rows.h"

#include "common/error.h"

static bool keep(struct csv_rows *rows, const char *bytes, size_t length, struct error *err)
{
    if (rows->rest.length + length > CSV_ROW_MAX)
        return error_set(err, ERROR_REJECT, "a row of more than %d bytes: this is no CSV of ours", CSV_ROW_MAX);
    return buffer_add(&rows->rest, bytes, length) ||
           error_set(err, ERROR_RETRY, "no memory for a row of %zu bytes", rows->rest.length + length);
}

/* The place behind the next row's end, or NULL. */
static const char *find_end(struct csv_rows *rows, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '"')
            rows->is_quoted = !rows->is_quoted;
        else if (*at == '\n' && !rows->is_quoted)
            return at + 1;
    }
    return NULL;
}

bool csv_rows_feed(struct csv_rows *rows, const char *bytes, size_t length, csv_rows_take *take, void *context, struct error *err)
{
    const char *at = bytes, *end = bytes + length, *behind;
    while ((behind = find_end(rows, at, end)) != NULL) { /* ends: each turn is a row of this piece */
        const size_t part = (size_t)(behind - at);
        if (rows->rest.length == 0) {
            if (!take(context, at, part, err))
                return false;
        } else {
            if (!keep(rows, at, part, err) || !take(context, rows->rest.bytes, rows->rest.length, err))
                return false;
            rows->rest.length = 0;
        }
        at = behind;
    }
    return at == end || keep(rows, at, (size_t)(end - at), err);
}

bool csv_rows_is_whole(const struct csv_rows *rows)
{
    return rows->rest.length == 0;
}

void csv_rows_reset(struct csv_rows *rows)
{
    buffer_reset(&rows->rest);
    *rows = (struct csv_rows){0};
}
