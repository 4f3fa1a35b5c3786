/* rollups.h - the rollups of a directory of files, brought into the database: tables, grants and definitions.
 *
 * Each file is one transaction: a file with an error changes nothing and holds up no other. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ROLLUPS_H
#define TALLYMILL_OPERATOR_ROLLUPS_H

#include <stdbool.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"

struct array_text;
struct settings;

enum { ROLLUPS_DIRECTORY_BYTES = 1024 };

struct rollups_report {
    char directory[ROLLUPS_DIRECTORY_BYTES];
    bool is_missing; /* the default directory is not there: nothing was changed */
    int files, made, changed, retired;
    json_t *lines;   /* texts: with --check what would be made or changed, and what has no file any more; owned */
    json_t *refused; /* "FILE:LINE: what is wrong", texts; owned */
};

/* Defines what the files declare. A rollup whose file is gone goes on as it was defined, and is named: the directory may be another
 * one than last time. `retired`: those that are to end (an array for Postgres, "{}": none), their tables stay as they are. False:
 * ERROR_USAGE for one that is not there or has a file; ERROR_RETRY, or ERROR_USAGE when rollups.dir cannot be read; a refused file
 * is no failure here. */
MUST_CHECK bool rollups_define(PGconn *conn, const struct settings *settings, const char *retired, struct rollups_report *report,
                               struct error *err);

/* Reads the files and checks what they declare, and compares it with what is defined; changes nothing. */
MUST_CHECK bool rollups_check(PGconn *conn, const struct settings *settings, const char *retired, struct rollups_report *report,
                              struct error *err);

/* The tables in `public` that the files say, but for their twins', as an array for Postgres; whatever else is wrong with a file. A
 * directory that is not there has none. The caller frees it (array_text_free). False: ERROR_RETRY, no memory. */
MUST_CHECK bool rollups_tables(const struct settings *settings, struct array_text *tables, struct error *err);

/* Begins a transaction that defines something: under the lock of migrate, as tallymill_admin. */
MUST_CHECK bool rollups_begin(PGconn *conn, struct error *err);

/* Within one: whether Postgres parses the query, and every run of it would give the same rows. *line: where it is wrong, 0: nobody
 * knows. */
MUST_CHECK bool rollups_try_query(PGconn *conn, const char *query, int *line, struct error *err);

void rollups_report_free(struct rollups_report *report);

#endif
