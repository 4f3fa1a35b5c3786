/* rollup_file.h - one file of schemas/rollups: what its comments declare, and its query.
 *
 *   -- target: analytics_daily_funnel      the table; analytics_weekly_NAME for a query over a week
 *   -- key: date, stage                    its primary key: `date` (`week`), then columns of the query
 *   -- cadence: 1 min                      how often an open day is computed anew, at most
 *   -- looks_back: all                     optional: a change of any earlier day matters too
 *   -- range: yes                          optional: the query is over tallymill.range_events, and gives its `date` (`week`) itself
 *
 * Each on a line of its own; every other comment is prose. The file's name is the rollup's. Pure: no I/O. Any thread.
 */
#ifndef TALLYMILL_OPERATOR_ROLLUP_FILE_H
#define TALLYMILL_OPERATOR_ROLLUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { ROLLUP_NAME_BYTES = 64, ROLLUP_KEY_BYTES = 512 };

struct rollup_file {
    char name[ROLLUP_NAME_BYTES], target[ROLLUP_NAME_BYTES];
    char keys[ROLLUP_KEY_BYTES]; /* as an array for Postgres: "{date,stage}" */
    int key_line;                /* where the key is declared: for what is wrong with the table as a whole */
    int64_t cadence_us;
    bool looks_back, is_range;
    const char *query; /* the text without the semicolon at its end; borrowed */
};

/* Reads a file's text, which is cut in place. False: ERROR_USAGE, and *line says which line is wrong (from 1). */
MUST_CHECK bool rollup_file_parse(const char *file_name, char *text, struct rollup_file *file, int *line, struct error *err);

/* The line (from 1) on which the character at `position` (from 1, as Postgres counts) of a text in UTF-8 stands. */
int rollup_file_line_of(const char *text, long position);

/* The first line (from 1) with this word, whatever its case, outside of comments; 0: there is none. */
int rollup_file_line_with(const char *text, const char *word);

#endif
