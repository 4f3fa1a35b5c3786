/* subjects.h - the subjects that uniques are counted of, brought from their file into the database.
 *
 * The file (schemas/uniques/subjects.sql, or uniques.subjects) has a line "-- subject: NAME" for each, and below it a boolean
 * condition over the columns of tallymill.day_events; every other comment is prose. One transaction: a file with an error changes
 * nothing. One thread.
 */
#ifndef TALLYMILL_OPERATOR_SUBJECTS_H
#define TALLYMILL_OPERATOR_SUBJECTS_H

#include <stdbool.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"

struct settings;

enum { SUBJECTS_MAX = 63, SUBJECT_NAME_MAX = 100 };

struct subject {
    char name[SUBJECT_NAME_MAX + 1];
    const char *condition; /* in the text that was parsed, borrowed */
    int line;              /* on which the condition begins, from 1 */
};

struct subjects_report {
    int count, made, retired;
};

/* Reads a file's text, which is cut in place: at most SUBJECTS_MAX subjects, or none: then no uniques are counted. False:
 * ERROR_USAGE, and *line says where. Pure. */
MUST_CHECK bool subjects_parse(char *text, struct subject subjects[SUBJECTS_MAX], int *count, int *line, struct error *err);

/* Defines what the file says; is_check: only reads it. What is wrong with the file is added to `refused`, as "FILE:LINE: what is
 * wrong". False: the server, or the file is not there. */
MUST_CHECK bool subjects_define(PGconn *conn, const struct settings *settings, bool is_check, struct subjects_report *report,
                                json_t *refused, struct error *err);

#endif
