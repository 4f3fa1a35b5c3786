/* export_output.c - see export_output.h.
 *
 * The list of guarded cells is a file beside the export, so that it may be as long as it likes and the export has no column that is
 * not the events'.
 */
#include "operator/export_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/csv.h"
#include "common/number_text.h"
#include "operator/snapshot.h"
#include "operator/terminal.h"

enum { ROWS_BETWEEN_LOOKS = 256 };

struct writing {
    const struct export_style *style; /* NULL: only read */
    struct export_progress *progress;
    struct export_row row;
    struct export_file *file, *list;
    const char *path;
    struct export_written *written;
    struct row_hash sum;
};

static char *list_path(const char *path)
{
    char *text = NULL;
    return asprintf(&text, "%s.guarded.csv", path) < 0 ? NULL : text;
}

static bool open_list(struct writing *writing, struct error *err)
{
    static const char head[] = "row,column\n";
    char *path = list_path(writing->path);
    writing->list = path ? export_file_open(path, EXPORT_PLAIN, err) : NULL;
    free(path);
    return writing->list && export_file_write(writing->list, head, sizeof head - 1, err);
}

static bool note_guarded(struct writing *writing, size_t column, struct error *err)
{
    struct export_written *written = writing->written;
    const struct export_guarded place = {written->rows + 1, column};
    const char *name = writing->style->columns->items[column].name;
    const size_t length = strlen(name);
    written->guarded++;
    if (written->shown_count < EXPORT_SHOWN_MAX) {
        written->shown[written->shown_count++] = place;
    }
    if (!writing->path) {
        return true;
    }
    char *line = malloc(csv_room(length) + NUMBER_TEXT_BYTES);
    bool is_noted = (writing->list || open_list(writing, err)) && (line || error_set(err, ERROR_RETRY, "out of memory"));
    if (is_noted) {
        char *at = csv_put_guarded(line + sprintf(line, "%" PRId64 ",", place.row), name, length);
        *at++ = '\n';
        is_noted = export_file_write(writing->list, line, (size_t)(at - line), err);
    }
    free(line);
    return is_noted;
}

/* Writes the line that was made, and notes what was guarded in it. */
static bool put_line(struct writing *writing, struct error *err)
{
    for (size_t i = 0; i < writing->row.guarded_count; i++) {
        if (!note_guarded(writing, writing->row.guarded[i], err)) {
            return false;
        }
    }
    return export_file_write(writing->file, writing->row.line, writing->row.length, err);
}

static bool take(void *context, char *row, size_t length, struct error *err)
{
    struct writing *writing = context;
    row_hash_add(&writing->sum, row, length);
    if (++writing->written->rows % ROWS_BETWEEN_LOOKS == 0) {
        const int64_t done = writing->progress->rows_before + writing->written->rows;
        progress_draw(&writing->progress->bar, done, (uint64_t)done, clock_now_us());
    }
    return !writing->style || (export_row_make(&writing->row, row, length, err) && put_line(writing, err));
}

/* The output is over, well or not. */
static void finish(const struct writing *writing)
{
    struct export_written *written = writing->written;
    row_hash_text(written->row_hash, &writing->sum);
    writing->progress->rows_before += written->rows;
    progress_clear(&writing->progress->bar);
}

/* All is there: gives the files their names, the list first. */
static bool end(struct writing *writing, struct error *err)
{
    struct export_file *list = writing->list, *file = writing->file;
    writing->list = writing->file = NULL;
    if (list && !export_file_end(list, NULL, NULL, err)) {
        export_file_drop(file);
        return false;
    }
    if (!list && writing->path) { /* that of an earlier export of this name tells of other rows */
        char *stale = list_path(writing->path);
        if (stale) {
            unlink(stale);
        }
        free(stale);
    }
    return export_file_end(file, &writing->written->bytes, writing->written->file_hash, err);
}

bool export_output_write(struct snapshot *snapshot, const char *sql, const char *path, const struct export_style *style,
                         struct export_written *written, struct error *err)
{
    struct writing *writing = calloc(1, sizeof *writing); /* too large for a stack */
    if (!writing) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    *written = (struct export_written){0};
    *writing = (struct writing){.style = style, .progress = style->progress, .path = path, .written = written};
    export_row_init(&writing->row, style->columns, style->form);
    const bool is_written = (writing->file = export_file_open(path, style->packing, err)) != NULL &&
                            export_row_head(&writing->row, err) && put_line(writing, err) &&
                            snapshot_copy(snapshot, sql, take, writing, err) && end(writing, err);
    finish(writing);
    export_file_drop(writing->list);
    export_file_drop(writing->file);
    export_row_reset(&writing->row);
    free(writing);
    return is_written;
}

bool export_output_read(struct snapshot *snapshot, const char *sql, struct export_progress *progress,
                        struct export_written *written, struct error *err)
{
    struct writing *writing = calloc(1, sizeof *writing);
    if (!writing) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    *written = (struct export_written){0};
    writing->progress = progress;
    writing->written = written;
    const bool is_read = snapshot_copy(snapshot, sql, take, writing, err);
    finish(writing);
    free(writing);
    return is_read;
}

void export_output_tell(const struct export_written *written, const struct export_columns *columns, const char *path)
{
    char number[NUMBER_TEXT_BYTES];
    if (written->guarded == 0) {
        return;
    }
    fprintf(
        stderr,
        "tallymill export: %s cells that a spreadsheet would take for formulas have a ' in front (--raw leaves them as they are):",
        number_text(number, written->guarded));
    for (size_t i = 0; i < written->shown_count; i++) {
        fprintf(stderr, "%s row %" PRId64 " ", i == 0 ? "" : ",", written->shown[i].row);
        terminal_text(stderr, columns->items[written->shown[i].column].name);
    }
    fputs(written->guarded > (int64_t)written->shown_count ? ", ..." : "", stderr);
    if (path) {
        fputs("; all are in ", stderr);
        terminal_text(stderr, path);
        fputs(".guarded.csv", stderr);
    }
    fputc('\n', stderr);
}
