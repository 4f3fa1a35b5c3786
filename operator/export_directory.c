/* export_directory.c - an export of many months: each a file, and export.json that says of each what it holds.
 *
 * Killed and run again, it goes on where it was, in a snapshot of its own. So a file that is kept must hold what this snapshot has:
 * the month is read again, and only written where the hash of its rows is another. Invariant: when it ends well, all files together
 * are one snapshot, with no row twice and none missing; a file of a month that this run does not look at is therefore refused, and
 * never deleted, for it may be the last copy. Rejected: going on in the middle of a month by a key; rows that were committed
 * meanwhile lie before it. Rejected: to believe the books, which know nothing of what other programs changed or deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "operator/export.h"

enum { FORMAT_VERSION = 1 };

struct directory {
    struct export_run *run;
    int lock; /* the directory itself, locked */
    json_t *record;
};

static bool path_of(const struct directory *directory, const char *name, char path[PATH_MAX], struct error *err)
{
    return snprintf(path, PATH_MAX, "%s/%s", directory->run->output, name) < PATH_MAX ||
           error_set(err, ERROR_USAGE, "--output: the name is too long");
}

/* One export at a time: two would write over each other. */
static bool open_directory(struct directory *directory, struct error *err)
{
    const char *path = directory->run->output;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        return error_set(err, ERROR_RETRY, "cannot make the directory %s: %s", path, strerror(errno));
    }
    directory->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->lock < 0) {
        return error_set(err, ERROR_RETRY, "cannot open the directory %s: %s", path, strerror(errno));
    }
    return flock(directory->lock, LOCK_EX | LOCK_NB) == 0 || error_set(err, ERROR_RETRY, "another export is at work in %s", path);
}

/* What decides what the files hold. */
static json_t *describe(const struct export_run *run)
{
    const struct export_choice *choice = &run->choice;
    json_t *columns = json_array(), *names = json_array();
    for (size_t i = 0; i < run->columns.count; i++) {
        json_array_append_new(columns, json_string(run->columns.items[i].name));
    }
    for (size_t i = 0; i < choice->name_count; i++) {
        json_array_append_new(names, json_string(choice->names[i]));
    }
    return json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:s?, s:s?, s:s?, s:b}", "what", run->source.what, "format",
                     run->style.form == EXPORT_NDJSON ? "ndjson" : "csv", "raw", run->style.form == EXPORT_CSV_RAW, "compress",
                     export_packing_names[run->style.packing], "columns", columns, "events", names, "category", choice->category,
                     "user", choice->user, "session", choice->session, "external", choice->is_external);
}

static json_t *new_record(const struct export_run *run)
{
    return json_pack("{s:i, s:o, s:b, s:{}}", "format_version", FORMAT_VERSION, "choice", describe(run), "complete", 0, "months");
}

/* Goes on with what lies there, if it is of the same choice. */
static bool read_record(struct directory *directory, const char *path, struct error *err)
{
    json_error_t fault;
    json_t *fresh = new_record(directory->run), *found = fresh ? json_load_file(path, 0, &fault) : NULL;
    directory->record = fresh;
    if (!fresh) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    if (!found) {
        return access(path, F_OK) != 0 ||
               error_set(err, ERROR_USAGE, "%s is none of ours (%s): move it away, or choose another directory", path, fault.text);
    }
    const bool is_same = json_equal(json_object_get(found, "choice"), json_object_get(fresh, "choice")) == 1 &&
                         json_is_object(json_object_get(found, "months")) &&
                         json_integer_value(json_object_get(found, "format_version")) == FORMAT_VERSION;
    if (is_same) {
        json_object_set(fresh, "months", json_object_get(found, "months"));
    }
    json_decref(found);
    return is_same ||
           error_set(err, ERROR_USAGE,
                     "%s is of an export with another choice of columns, filters or format: choose another directory", path);
}

static bool save_record(const struct directory *directory, bool is_complete, struct error *err)
{
    char path[PATH_MAX];
    json_object_set_new(directory->record, "complete", json_boolean(is_complete));
    char *text = path_of(directory, "export.json", path, err) ? json_dumps(directory->record, JSON_INDENT(2)) : NULL;
    if (!text) {
        return err->kind == ERROR_NONE ? error_set(err, ERROR_RETRY, "out of memory") : false;
    }
    const bool is_saved = export_file_save(path, text, strlen(text), err);
    free(text);
    return is_saved;
}

static json_t *span_json(const struct export_span *span)
{
    char first[CLOCK_DAY_BYTES], last[CLOCK_DAY_BYTES];
    clock_format_day(first, span->from_day);
    clock_format_day(last, span->to_day - 1);
    return json_pack("{s:s, s:s}", "first", first, "last", last);
}

/* Whether the file that is noted is there, whole, and of the same days. */
static bool is_whole(const json_t *noted, const char *path, const struct export_span *span)
{
    char hash[EXPORT_HASH_BYTES];
    int64_t bytes;
    json_t *days = span_json(span);
    const char *noted_hash = json_string_value(json_object_get(noted, "file_hash"));
    const bool is_same = days && json_equal(days, json_object_get(noted, "days")) == 1 && noted_hash &&
                         export_file_hash(path, &bytes, hash) && bytes == json_integer_value(json_object_get(noted, "bytes")) &&
                         strcmp(hash, noted_hash) == 0;
    json_decref(days);
    return is_same;
}

static void note(struct directory *directory, const struct export_month *month, const char *name,
                 const struct export_written *written)
{
    json_t *noted = json_pack("{s:s, s:o, s:I, s:I, s:s, s:s, s:I}", "file", name, "days", span_json(&month->span), "rows",
                              (json_int_t)written->rows, "bytes", (json_int_t)written->bytes, "row_hash", written->row_hash,
                              "file_hash", written->file_hash, "guarded", (json_int_t)written->guarded);
    json_object_set_new(json_object_get(directory->record, "months"), month->name, noted);
}

/* The file's rows are the snapshot's. */
static bool keep(struct directory *directory, const struct export_month *month, const json_t *noted, const char *path,
                 struct error *err)
{
    struct export_run *run = directory->run;
    const struct export_written written = {.rows = json_integer_value(json_object_get(noted, "rows")),
                                           .bytes = json_integer_value(json_object_get(noted, "bytes")),
                                           .guarded = json_integer_value(json_object_get(noted, "guarded"))};
    export_answer_add(run, path, &written, json_pack("{s:s, s:b}", "month", month->name, "kept", 1));
    return save_record(directory, false, err);
}

static bool write_month(struct directory *directory, const struct export_month *month, const char *sql, const char *name,
                        const char *path, struct error *err)
{
    struct export_run *run = directory->run;
    struct export_written written;
    /* Killed from here on, the file may be there and not be noted: it is written again. */
    json_object_del(json_object_get(directory->record, "months"), month->name);
    if (!save_record(directory, false, err) || !export_output_write(run->snapshot, sql, path, &run->style, &written, err)) {
        return false;
    }
    note(directory, month, name, &written);
    export_output_tell(&written, &run->columns, path);
    export_answer_add(run, path, &written, json_pack("{s:s, s:b}", "month", month->name, "kept", 0));
    return save_record(directory, false, err);
}

static bool export_month(struct directory *directory, const struct export_month *month, struct error *err)
{
    struct export_run *run = directory->run;
    char name[NAME_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "%s-%s.%s%s", run->source.what, month->name, run->style.form == EXPORT_NDJSON ? "ndjson" : "csv",
             export_packing_endings[run->style.packing]);
    json_t *noted = json_object_get(json_object_get(directory->record, "months"), month->name);
    if ((!month->has_rows && !noted) || !path_of(directory, name, path, err)) {
        return err->kind == ERROR_NONE; /* a month that is only made ahead */
    }
    char *sql = export_source_copy(&run->source, run->snapshot, run->columns.list, &run->choice, month->span, err);
    bool is_same = sql && noted && is_whole(noted, path, &month->span);
    bool is_done = sql != NULL;
    if (is_same) {
        struct export_written read;
        is_done = export_output_read(run->snapshot, sql, &run->progress, &read, err);
        is_same = is_done && strcmp(read.row_hash, json_string_value(json_object_get(noted, "row_hash"))) == 0;
    }
    is_done = is_done && (is_same ? keep(directory, month, noted, path, err) : write_month(directory, month, sql, name, path, err));
    free(sql);
    return is_done;
}

static bool is_looked_at(const struct export_months *months, const char *month)
{
    for (size_t i = 0; i < months->count; i++) {
        if (strcmp(months->items[i].name, month) == 0) {
            return true;
        }
    }
    return false;
}

/* Months of runs before that this one does not look at: their files would be of another moment than all others. Those that somebody
 * moved away are forgotten. */
static bool check_others(const struct directory *directory, struct error *err)
{
    json_t *months = json_object_get(directory->record, "months"), *noted;
    const char *month;
    void *next;
    json_object_foreach_safe(months, next, month, noted)
    {
        char path[PATH_MAX];
        const char *name = json_string_value(json_object_get(noted, "file"));
        if (is_looked_at(&directory->run->months, month)) {
            continue;
        }
        if (!path_of(directory, name ? name : "", path, err)) {
            return false;
        }
        if (name && access(path, F_OK) == 0) {
            return error_set(err, ERROR_USAGE,
                             "%s is of a run before, and this one does not look at %s (other days are asked for, or it is "
                             "archived, or has no rows any more): move the file away, or choose another directory",
                             path, month);
        }
        json_object_del(months, month);
    }
    return true;
}

bool export_directory(struct export_run *run, struct error *err)
{
    struct directory directory = {.run = run, .lock = -1};
    char path[PATH_MAX];
    bool is_done = open_directory(&directory, err) && path_of(&directory, "export.json", path, err) &&
                   read_record(&directory, path, err) && check_others(&directory, err);
    for (size_t i = 0; is_done && i < run->months.count; i++) {
        is_done = export_month(&directory, &run->months.items[i], err);
    }
    if (is_done) {
        json_object_set(directory.record, "without_archived", run->months.archived);
        is_done = save_record(&directory, true, err);
    }
    json_decref(directory.record);
    if (directory.lock >= 0) {
        close(directory.lock);
    }
    return is_done;
}
