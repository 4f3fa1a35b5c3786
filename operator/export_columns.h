/* export_columns.h - the columns of an export: what they are called, how Postgres is asked for them, and what kind of value they
 * hold. One thread. */
#ifndef TALLYMILL_OPERATOR_EXPORT_COLUMNS_H
#define TALLYMILL_OPERATOR_EXPORT_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct catalogue;
struct export_choice;
struct export_source;
struct snapshot;

enum export_kind {
    EXPORT_TEXT,
    EXPORT_NUMBER,
    EXPORT_BOOLEAN,
    EXPORT_TIME,      /* an instant */
    EXPORT_JSON,      /* as JSON text */
    EXPORT_ATTRIBUTE, /* a value inside event_data, as JSON; in CSV a text of it as text */
};

struct export_column {
    char *name, *expression; /* SQL */
    enum export_kind kind;
};

enum { EXPORT_COLUMNS_MAX = 1600 }; /* Postgres has 1,664 in an answer */

struct export_columns {
    struct export_column *items;
    size_t count;
    char *list; /* all expressions, as they stand behind SELECT */
};

/* The columns that --columns asks for: of the table, "flat" with the attributes that the catalogue knows, "discover" with those
 * that the chosen events have, or a list of names. ERROR_USAGE: an unknown name, too many. export_columns_reset() frees them, after
 * a failure too. */
MUST_CHECK bool export_columns_choose(struct export_columns *columns, struct snapshot *snapshot, const struct export_source *source,
                                      const struct export_choice *choice, const struct catalogue *catalogue, struct error *err);
void export_columns_reset(struct export_columns *columns);

/* The keys of a dotted path ("llm.latency.ttft"; a key that holds a dot, a comma or a quote stands in quotes, a quote in it twice)
 * as text[] of Postgres
 * ({"llm","latency","ttft"}), and back. The caller frees it. NULL: ERROR_USAGE, no path. */
MUST_CHECK char *export_path_array(const char *path, struct error *err);

#endif
