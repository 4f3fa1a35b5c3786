/* export_source.h - what an export takes its rows from: the events, the daily statistics, or a rollup; and which of the rows. One
 * thread. */
#ifndef TALLYMILL_OPERATOR_EXPORT_SOURCE_H
#define TALLYMILL_OPERATOR_EXPORT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "operator/day_range.h"

struct snapshot;

enum { EXPORT_NAMES_MAX = 1000 };

/* As on the command line; borrowed, NULL: not said. */
struct export_choice {
    const char *what; /* "events", "daily", the name of a rollup or of its table */
    struct day_range range;
    const char *names[EXPORT_NAMES_MAX]; /* --event */
    size_t name_count;
    const char *category, *user, *session, *columns;
    bool is_external;
};

struct export_source {
    char *what;   /* "events", "daily", the rollup's name */
    char *table;  /* the three in quotes, as SQL has them */
    char *period; /* the column by which days are told */
    char *order;  /* what the rows are ordered by; NULL: as they lie */
    bool is_events;
};

/* Finds the table; checks that the choice can be made there. ERROR_USAGE: there is none, or it has no such rows to choose.
 * export_source_reset() frees it, after a failure too. */
MUST_CHECK bool export_source_find(struct export_source *source, struct snapshot *snapshot, const struct export_choice *choice,
                                   struct error *err);
void export_source_reset(struct export_source *source);

/* Days from `from_day` on, before `to_day` (days since 1970). */
struct export_span {
    int32_t from_day, to_day;
};
#define EXPORT_ALWAYS ((struct export_span){INT32_MIN, INT32_MAX})

/* The span that a range asks for. */
struct export_span export_span_of(const struct day_range *range);

/* FROM and WHERE of the chosen rows in a span: " FROM ... WHERE ...". The caller frees it. NULL: ERROR_USAGE (a text that is no
 * UTF-8), ERROR_RETRY (no memory). */
MUST_CHECK char *export_source_from(const struct export_source *source, struct snapshot *snapshot,
                                    const struct export_choice *choice, struct export_span span, struct error *err);

/* COPY (SELECT columns FROM ... WHERE ... ORDER BY ...) TO STDOUT; columns: "id, event_name". As above. */
MUST_CHECK char *export_source_copy(const struct export_source *source, struct snapshot *snapshot, const char *columns,
                                    const struct export_choice *choice, struct export_span span, struct error *err);

#endif
