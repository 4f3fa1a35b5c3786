/* erase_archives.c - see erase.h: what months that left hold of a person.
 *
 * Each archive that counts is read through, every row of it. A month that is away and holds the person comes back, loses their
 * rows as any other month does, has its statistics made anew, and leaves again (erase_renew). Archives that hold the person and do
 * not count, or not any more, are deleted.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/progress.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_leftover.h"
#include "operator/archive_month.h"
#include "operator/archive_parts.h"
#include "operator/archive_return.h"
#include "operator/archive_store.h"
#include "operator/csv_field.h"
#include "operator/step_teller.h"

extern const char erase_archives_sql[], erase_unreached_sql[];

/* An archive that counts, read through. */
struct erase_archive {
    struct month_name month;
    struct archive_view view;
    bool is_away;    /* the month's rows are only there */
    bool is_leaving; /* the month's rows are there, and in a table that is in no query until the month stays */
    bool is_kept;    /* whatever it holds: the month came back and could not leave again */
    int64_t rows;    /* theirs */
    uint32_t days;   /* bit n: on this day of the month somebody was there who is to be told of anew (erase_first_seen) */
};

struct reading {
    struct erase_run *run;
    struct erase_archive *archive;
    int user_index, session_index, internal_index, moment_index; /* of the columns; -1: there is none */
};

enum { DIGITS_BYTES = 24 };

/* The number of the row's user; "": it has none. */
static void find_user(const struct reading *reading, const char *row, size_t length, char digits[DIGITS_BYTES])
{
    struct csv_field field;
    digits[0] = '\0';
    if (csv_field_find(row, length, reading->user_index, &field) && field.length < DIGITS_BYTES)
        snprintf(digits, DIGITS_BYTES, "%.*s", (int)field.length, field.bytes);
}

static bool is_theirs(const struct reading *reading, const char *row, size_t length, const char *digits)
{
    struct csv_field field;
    const struct erase_subject *subject = &reading->run->subject;
    if (erase_subject_has_user(subject, digits))
        return true;
    if (subject->session_count > 0 && csv_field_find(row, length, reading->session_index, &field)) {
        for (size_t i = 0; i < subject->session_count; i++)
            if (csv_field_is(&field, subject->sessions[i], strlen(subject->sessions[i])))
                return true;
    }
    return false;
}

/* Who was there in this row, in which kind of events, and when. */
static struct erase_seen read_seen(const struct reading *reading, const char *row, size_t length, const char *digits)
{
    struct csv_field internal, moment;
    struct erase_seen seen = {.user = strtoll(digits, NULL, 10)};
    seen.is_internal = csv_field_find(row, length, reading->internal_index, &internal) && csv_field_is(&internal, "t", 1);
    if (csv_field_find(row, length, reading->moment_index, &moment))
        snprintf(seen.at, sizeof seen.at, "%.*s", (int)moment.length, moment.bytes);
    return seen;
}

static bool count_row(void *context, const char *row, size_t length, struct error *err)
{
    struct reading *reading = context;
    char digits[DIGITS_BYTES];
    find_user(reading, row, length, digits);
    if (!is_theirs(reading, row, length, digits))
        return true;
    reading->archive->rows++;
    if (!reading->archive->is_away || digits[0] == '\0' || erase_subject_has_user(&reading->run->subject, digits))
        return true;
    const struct erase_seen seen = read_seen(reading, row, length, digits);
    return erase_seen_add(&reading->run->seen, &seen, err);
}

/* What stays of those who are to be told of anew. */
static bool see_row(void *context, const char *row, size_t length, struct error *err)
{
    struct reading *reading = context;
    char digits[DIGITS_BYTES];
    (void)err;
    find_user(reading, row, length, digits);
    if (digits[0] == '\0')
        return true;
    const struct erase_seen seen = read_seen(reading, row, length, digits);
    struct erase_seen *known = erase_seen_find(&reading->run->seen, &seen);
    if (!known || is_theirs(reading, row, length, digits))
        return true;
    if (known->at[0] == '\0' || strcmp(seen.at, known->at) < 0)
        *known = seen;
    reading->archive->days |= 1U << (atoi(seen.at + strlen("2025-01-")) & 31);
    return true;
}

static int find_column(const struct archive_manifest *manifest, const char *name)
{
    size_t i;
    const json_t *column;
    json_array_foreach(json_object_get(manifest->json, "columns"), i, column) {
        const char *text = json_string_value(json_object_get(column, "name"));
        if (text && strcmp(text, name) == 0)
            return (int)i;
    }
    return -1;
}

static bool read_through(struct erase_run *run, struct erase_archive *archive,
                         bool (*take)(void *context, const char *row, size_t length, struct error *err), struct error *err)
{
    struct archive_return back = {0};
    struct progress progress;
    struct reading reading = {.run = run, .archive = archive};
    char what[40];
    snprintf(what, sizeof what, "rows of %s read", archive->month.text);
    step_teller_begin("tallymill erase", "reads the archive of %s through, %" PRId64 " rows", archive->month.text,
                      archive->view.rows);
    progress_init(&progress, what, archive->view.rows, clock_now_us());
    bool is_read = archive_return_find(&back, run->settings, &archive->month, &archive->view, err);
    if (is_read) {
        reading.user_index = find_column(&back.manifest, "user_id");
        reading.session_index = find_column(&back.manifest, "session_id");
        reading.internal_index = find_column(&back.manifest, "is_internal");
        reading.moment_index = find_column(&back.manifest, "created_at");
        is_read = archive_parts_read(back.store, &back.manifest, take, &reading, &progress, err);
    }
    progress_clear(&progress);
    archive_return_close(&back);
    return is_read;
}

/* What cannot be read is a remark, and the others are read all the same. */
static bool look_at(struct erase_run *run, const PGresult *found, int row, struct error *err)
{
    struct error unread = {0};
    struct erase_archive *wider = realloc(run->archives, ((size_t)run->archive_count + 1) * sizeof *wider);
    if (!wider)
        return error_set(err, ERROR_RETRY, "out of memory");
    run->archives = wider;
    struct erase_archive *archive = &wider[run->archive_count];
    *archive = (struct erase_archive){.is_away = answer_bool(found, row, "is_away"),
                                      .is_leaving = answer_bool(found, row, "is_leaving"),
                                      .view = {.is_known = true,
                                               .generation = (int)answer_int(found, row, "generation"),
                                               .rows = answer_int(found, row, "rows"),
                                               .foreign_rows = answer_int(found, row, "foreign_rows"),
                                               .bytes = answer_int(found, row, "bytes")}};
    snprintf(archive->view.target, sizeof archive->view.target, "%s", answer_text(found, row, "target"));
    snprintf(archive->view.row_hash, sizeof archive->view.row_hash, "%s", answer_text(found, row, "row_hash"));
    snprintf(archive->view.manifest_sha256, sizeof archive->view.manifest_sha256, "%s", answer_text(found, row, "manifest_sha256"));
    if (!month_name_parse(answer_text(found, row, "month"), &archive->month, err))
        return false;
    run->archive_count++;
    if (!read_through(run, archive, count_row, &unread)) {
        archive->rows = 0;
        erase_remark(run, true, "the archive of %s could not be read through: %s", archive->month.text, unread.text);
    }
    return true;
}

void erase_archives_see(struct erase_run *run)
{
    for (int i = 0; i < run->archive_count; i++) {
        struct erase_archive *archive = &run->archives[i];
        struct error unread = {0};
        if (archive->is_away && !read_through(run, archive, see_row, &unread))
            erase_remark(run, true,
                         "when others were first seen who had one of the sessions is told without the archive of %s, which could "
                         "not be read through: %s",
                         archive->month.text, unread.text);
    }
}

void erase_archives_add_days(const struct erase_run *run, struct array_text *days)
{
    char day[CLOCK_DAY_BYTES];
    for (int i = 0; i < run->archive_count; i++) {
        for (unsigned number = 1; number <= 31; number++) {
            if (run->archives[i].days & 1U << number) {
                snprintf(day, sizeof day, "%.7s-%02u", run->archives[i].month.text, number);
                array_text_add(days, day, strlen(day));
            }
        }
    }
}

bool erase_archives_stay(struct erase_run *run, struct error *err)
{
    struct archive_run archive = {.settings = run->settings, .books = run->books};
    PGresult *leaving = postgres_query(
        run->conn, "SELECT to_char(m.month, 'YYYY-MM') AS month FROM tallymill.months m WHERE m.state = 'detaching' ORDER BY 1",
        ERASE_QUERY_US, err);
    bool is_good = leaving != NULL;
    for (int row = 0; is_good && row < PQntuples(leaving); row++) {
        struct month_name month;
        bool was_leaving;
        is_good = month_name_parse(answer_text(leaving, row, "month"), &month, err) &&
                  archive_month_cancel(&archive, &month, &was_leaving, err);
    }
    for (int i = 0; is_good && i < run->archive_count; i++)
        run->archives[i].is_leaving = false;
    PQclear(leaving);
    return is_good;
}

void erase_archives_keep(struct erase_run *run, const struct month_name *month)
{
    for (int i = 0; i < run->archive_count; i++)
        run->archives[i].is_kept = run->archives[i].is_kept || strcmp(run->archives[i].month.text, month->text) == 0;
}

bool erase_archives_look(struct erase_run *run, struct error *err)
{
    if (!run->is_dry && !archive_books_open(&run->books, run->settings, "tallymill erase", err))
        return false;
    PGresult *found = postgres_query(run->conn, erase_archives_sql, ERASE_QUERY_US, err);
    bool is_good = found != NULL;
    for (int row = 0; is_good && row < PQntuples(found); row++)
        is_good = look_at(run, found, row, err);
    PQclear(found);
    return is_good;
}

bool erase_archives_guard(const struct erase_run *run, int64_t *rows, struct error *err)
{
    char number[NUMBER_TEXT_BYTES], all[NUMBER_TEXT_BYTES];
    for (int i = 0; i < run->archive_count; i++) {
        const struct erase_archive *archive = &run->archives[i];
        if (!archive->is_away && !archive->is_leaving)
            continue;
        *rows += archive->rows;
        if (archive->rows * ERASE_SHARE > archive->view.rows)
            return error_set(err, ERROR_USAGE,
                             "%s of the %s events of %s, which is %s, would go, more than a hundredth: add --yes if that is meant",
                             number_text(number, archive->rows), number_text(all, archive->view.rows), archive->month.text,
                             archive->is_away ? "archived" : "on its way out");
    }
    return true;
}

void erase_archives_count(struct erase_run *run)
{
    for (int i = 0; i < run->archive_count; i++) {
        const struct erase_archive *archive = &run->archives[i];
        if (archive->is_away && archive->rows > 0) {
            run->rows += archive->rows;
            json_object_set_new(run->months, archive->month.text, json_integer(archive->rows));
        }
    }
}

/* The store that a target names, or, where that cannot be opened or has nothing, the one in which archives are now. */
struct archive_store *erase_open_store(struct erase_run *run, const char *target, struct error *err)
{
    const char *set = settings_text(run->settings, "archive.target");
    struct error other = {0};
    struct archive_store *store = target[0] != '\0' ? archive_store_open(run->settings, target, err) : NULL;
    if ((store && !archive_store_is_bare(store)) || set[0] == '\0' || strcmp(set, "none") == 0)
        return store;
    struct archive_store *now = archive_store_open(run->settings, set, &other);
    if (!now)
        return store;
    archive_store_close(store);
    error_clear(err);
    return now;
}

void erase_tell_versions(struct erase_run *run, const struct archive_store *store)
{
    if (archive_store_keeps_versions(store) && !run->is_versioned) {
        run->is_versioned = true;
        erase_remark(run, false, "the bucket of %s keeps versions: what was deleted there stays until its own rules let it go",
                     archive_store_target(store));
    }
}

static bool renew_all(struct erase_run *run, struct error *err)
{
    bool is_going_well = true, has_leader = false;
    if (!erase_renew_go_on(run, &is_going_well, err) || !erase_is_led(run, &has_leader, err))
        return false;
    for (int i = 0; i < run->archive_count; i++) {
        const struct erase_archive *archive = &run->archives[i];
        if (!archive->is_away || archive->rows == 0)
            continue;
        if (!has_leader)
            erase_remark(run, true,
                         "%s stays archived, with %" PRId64
                         " events of theirs: no aggregator leads, so its statistics could not be "
                         "made anew (start tallymill-aggregator)",
                         archive->month.text, archive->rows);
        else if (!is_going_well)
            erase_remark(run, true, "%s stays archived, with %" PRId64 " events of theirs: the month before comes first",
                         archive->month.text, archive->rows);
        else if (!erase_renew(run, &archive->month, &is_going_well, err))
            return false;
    }
    return !is_going_well || erase_weeks(run, err);
}

/* An archive of a month that is in Postgres, where their rows went: it goes, for the month's rows are there. */
static bool give_up_kept(struct erase_run *run, struct error *err)
{
    for (int i = 0; i < run->archive_count; i++) {
        const struct erase_archive *archive = &run->archives[i];
        struct archive_view view;
        if (archive->is_away || archive->is_kept || archive->rows == 0)
            continue;
        if (!archive_books_look(&run->books, &archive->month, &view, err))
            return false;
        if (!view.is_attached || strcmp(view.state, "archived") == 0)
            continue; /* it has left again, and this archive is an older one */
        if (!archive_books_supersede(&run->books, &archive->month, archive->view.generation, err))
            return false;
        erase_remark(run, false, "the archive of %s held them, too, and goes: the month is in Postgres", archive->month.text);
    }
    return true;
}

/* What could not be deleted is a remark. */
static bool delete_leftover(struct erase_run *run, const PGresult *left, int row, struct error *err)
{
    struct month_name month;
    struct archive_store *store = NULL;
    struct error kept = {0};
    const int generation = (int)answer_int(left, row, "generation");
    if (!month_name_parse(answer_text(left, row, "month"), &month, err) ||
        !archive_books_supersede(&run->books, &month, generation, err))
        return false;
    const bool is_gone = archive_leftover_delete(run->settings, &run->books, &month, left, row, &store, &kept);
    if (is_gone && store)
        erase_tell_versions(run, store);
    archive_store_close(store);
    if (is_gone)
        return archive_books_tidied(&run->books, &month, generation, err);
    erase_remark(run, true, "an older archive of %s (generation %d) may hold them, and could not be deleted: %s", month.text,
                 generation, kept.text);
    return true;
}

static bool delete_leftovers(struct erase_run *run, struct error *err)
{
    PGresult *left = archive_leftover_ask(&run->books, NULL, err);
    bool is_good = left != NULL;
    for (int row = 0; is_good && row < PQntuples(left); row++)
        is_good = delete_leftover(run, left, row, err);
    PQclear(left);
    return is_good;
}

bool erase_archives(struct erase_run *run, struct error *err)
{
    return renew_all(run, err) && give_up_kept(run, err) && delete_leftovers(run, err);
}

bool erase_unreached(struct erase_run *run, struct error *err)
{
    PGresult *months = postgres_query(run->conn, erase_unreached_sql, ERASE_QUERY_US, err);
    for (int row = 0; months && row < PQntuples(months); row++) {
        const char *month = answer_text(months, row, "month"), *state = answer_text(months, row, "state");
        if (strcmp(state, "detaching") == 0)
            erase_remark(run, true, "month %s is on its way out, and was not looked into: tallymill archive --cancel %s", month,
                         month);
        else
            erase_remark(run, true,
                         "month %s is %s, and no archive of it is in the books (tallymill.archives), so it was not looked into: "
                         "attach its table again",
                         month, state);
    }
    PQclear(months);
    return months != NULL;
}

void erase_archives_close(struct erase_run *run)
{
    archive_books_close(&run->books);
    free(run->archives);
    free(run->seen.all);
    run->archives = NULL;
    run->archive_count = 0;
    run->seen = (struct erase_seen_list){0};
}
