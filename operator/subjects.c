/* subjects.c - see subjects.h.
 *
 * Each condition is given to Postgres as it stands in the file, so that an error has the file's own line, and looked through for
 * what no two runs would agree on, as a rollup's query is. Where the file says what the database says, nothing is tried again: that
 * is what most runs of `tallymill migrate` find.
 */
#include "operator/subjects.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "common/settings_file.h"
#include "operator/rollups.h"

extern const char subjects_built_in[];

#define SHORT_US (30 * CLOCK_SECOND_US)

enum { MAX_FILE_BYTES = 1 << 20 };

static const char word[] = "-- subject:", built_in_name[] = "uniques/subjects.sql (built in)";
static const char before_condition[] = "SELECT e.id, CASE WHEN (\n",
                  after_condition[] = "\n) THEN 1 ELSE 0 END AS is_seen FROM tallymill.day_events e";

static bool read_name(char *line, struct subject *subject, struct error *err)
{
    char *name = line + sizeof word - 1;
    name += strspn(name, " \t");
    size_t length = strlen(name);
    while (length > 0 && isspace((unsigned char)name[length - 1]))
        length--;
    bool is_plain = length > 0 && length <= SUBJECT_NAME_MAX;
    for (size_t i = 0; i < length && is_plain; i++)
        is_plain = !iscntrl((unsigned char)name[i]);
    if (!is_plain)
        return error_set(err, ERROR_USAGE, "a subject has a name of 1 to %d bytes, on the line that begins with \"%s\"",
                         SUBJECT_NAME_MAX, word);
    memcpy(subject->name, name, length);
    subject->name[length] = '\0';
    return true;
}

static bool is_known(const struct subject *subjects, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(subjects[i].name, name) == 0)
            return true;
    return false;
}

static bool is_prose(const char *line)
{
    line += strspn(line, " \t\r");
    return *line == '\n' || *line == '\0' || strncmp(line, "--", 2) == 0;
}

/* The text of a condition ends where the line with the next name begins: it is cut behind its last line that is no comment, so that
 * prose may change. */
static bool end_condition(struct subject *subject, char *end, struct error *err)
{
    char *behind = NULL;
    for (char *at = (char *)subject->condition; at < end;) { /* ends: with the text */
        char *next = at + strcspn(at, "\n");
        behind = is_prose(at) ? behind : next;
        at = next + (*next == '\n');
    }
    if (!behind)
        return error_set(err, ERROR_USAGE, "subject %s has no condition below it", subject->name);
    *behind = '\0';
    return true;
}

bool subjects_parse(char *text, struct subject subjects[SUBJECTS_MAX], int *count, int *line, struct error *err)
{
    *count = 0;
    *line = 0;
    struct subject *open = NULL;
    for (char *at = text, *next; *at != '\0'; at = next) { /* ends: with the text; what was cut lies behind */
        char *end = at + strcspn(at, "\n");
        next = end + (*end == '\n');
        ++*line;
        if (strncmp(at, word, sizeof word - 1) != 0) {
            if (!open && !is_prose(at))
                return error_set(err, ERROR_USAGE, "a condition without a line \"%s NAME\" above it", word);
            continue;
        }
        if (open && !end_condition(open, at, err))
            return false;
        if (*count == SUBJECTS_MAX)
            return error_set(err, ERROR_USAGE, "more than %d subjects", SUBJECTS_MAX);
        *end = '\0';
        open = &subjects[*count];
        *open = (struct subject){.condition = next, .line = *line + 1};
        if (!read_name(at, open, err))
            return false;
        if (is_known(subjects, *count, open->name))
            return error_set(err, ERROR_USAGE, "subject %s is there twice", open->name);
        ++*count;
    }
    if (open && !end_condition(open, (char *)open->condition + strlen(open->condition), err))
        return false;
    return true;
}

static bool try_condition(PGconn *conn, const struct subject *subject, int *line, struct error *err)
{
    const size_t length = sizeof before_condition + strlen(subject->condition) + sizeof after_condition;
    char *query = malloc(length);
    if (!query)
        return error_set(err, ERROR_RETRY, "out of memory");
    snprintf(query, length, "%s%s%s", before_condition, subject->condition, after_condition);
    const bool is_good = rollups_try_query(conn, query, line, err);
    *line = is_good ? 0 : subject->line + (*line > 1 ? *line - 2 : 0);
    free(query);
    return is_good || error_wrap(err, "subject %s", subject->name);
}

/* An array for Postgres: each element in quotes. */
static void put_element(FILE *out, const char *text, bool is_first)
{
    fputs(is_first ? "{\"" : ",\"", out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

struct arrays {
    char *names, *conditions;
};

static bool make_arrays(const struct subject *subjects, int count, struct arrays *arrays, struct error *err)
{
    size_t lengths[2];
    FILE *names = open_memstream(&arrays->names, &lengths[0]), *conditions = open_memstream(&arrays->conditions, &lengths[1]);
    for (int i = 0; i < count && names && conditions; i++) {
        put_element(names, subjects[i].name, i == 0);
        put_element(conditions, subjects[i].condition, i == 0);
    }
    if (count == 0 && names && conditions) {
        fputc('{', names);
        fputc('{', conditions);
    }
    bool is_made = names && conditions && fputc('}', names) != EOF && fputc('}', conditions) != EOF;
    is_made = (!names || fclose(names) == 0) && is_made;
    is_made = (!conditions || fclose(conditions) == 0) && is_made;
    return is_made || error_set(err, ERROR_RETRY, "out of memory");
}

static const char is_known_sql[] = "SELECT count(*) = cardinality($1::text[]) AND count(*) = (SELECT count(*) FROM "
                                   "tallymill.unique_subjects o WHERE o.retired_at IS NULL) "
                                   "FROM unnest($1::text[], $2::text[]) AS g (subject, condition) JOIN tallymill.unique_subjects s "
                                   "ON s.subject = g.subject AND s.condition = g.condition AND s.retired_at IS NULL";

/* All subjects in one transaction. */
static bool define(PGconn *conn, const struct subject *subjects, int count, const struct arrays *arrays,
                   struct subjects_report *report, int *line, struct error *err)
{
    const char *const values[] = {arrays->names, arrays->conditions};
    PGresult *known = postgres_query_params(conn, is_known_sql, 2, values, SHORT_US, err);
    const bool is_same = known && PQgetvalue(known, 0, 0)[0] == 't';
    PQclear(known);
    if (!known || is_same)
        return known != NULL;
    if (!rollups_begin(conn, err) || !postgres_exec(conn, "SET LOCAL search_path = pg_catalog, pg_temp", SHORT_US, err))
        return false;
    for (int i = 0; i < count; i++)
        if (!try_condition(conn, &subjects[i], line, err))
            return false;
    PGresult *result = postgres_query_params(conn, "SELECT made, retired FROM tallymill.define_subjects($1::text[], $2::text[])", 2,
                                             values, SHORT_US, err);
    if (result) {
        report->made = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
        report->retired = (int)strtol(PQgetvalue(result, 0, 1), NULL, 10);
    }
    PQclear(result);
    return result && postgres_exec(conn, "COMMIT", SHORT_US, err);
}

static void refuse(json_t *refused, const char *path, int line, struct error *err)
{
    char text[ERROR_TEXT_BYTES + 1024], place[16] = "";
    if (line > 0)
        snprintf(place, sizeof place, "%d:", line);
    snprintf(text, sizeof text, "%s:%s %s", path, place, err->text);
    json_array_append_new(refused, json_string(text));
    error_clear(err);
}

bool subjects_define(PGconn *conn, const struct settings *settings, bool is_check, struct subjects_report *report, json_t *refused,
                     struct error *err)
{
    const char *path = settings_text(settings, "uniques.subjects");
    const bool is_built_in = path[0] == '\0';
    char *text = is_built_in ? strdup(subjects_built_in) : settings_file_text(path, MAX_FILE_BYTES, err);
    struct subject subjects[SUBJECTS_MAX];
    struct arrays arrays = {NULL, NULL};
    int line = 0;
    if (!text)
        return err->kind != ERROR_NONE ? error_wrap(err, "uniques.subjects") : error_set(err, ERROR_RETRY, "out of memory");
    bool succeeded = subjects_parse(text, subjects, &report->count, &line, err), is_file = !succeeded;
    if (succeeded && !is_check) {
        succeeded = make_arrays(subjects, report->count, &arrays, err);
        line = 0;
        if (succeeded && !define(conn, subjects, report->count, &arrays, report, &line, err)) {
            is_file = PQstatus(conn) == CONNECTION_OK && postgres_is(err, POSTGRES_REFUSED) && err->kind != ERROR_RETRY;
            succeeded = false;
        }
    }
    if (is_file) {
        refuse(refused, is_built_in ? built_in_name : path, line, err);
        succeeded = PQtransactionStatus(conn) == PQTRANS_IDLE || postgres_exec(conn, "ROLLBACK", SHORT_US, err);
    }
    free(arrays.names);
    free(arrays.conditions);
    free(text);
    return succeeded;
}
