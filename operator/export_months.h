/* export_months.h - the months that an export reads, and those that it cannot. One thread. */
#ifndef TALLYMILL_OPERATOR_EXPORT_MONTHS_H
#define TALLYMILL_OPERATOR_EXPORT_MONTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"
#include "operator/export_source.h"

struct snapshot;

enum { EXPORT_MONTH_BYTES = 8 };

struct export_month {
    char name[EXPORT_MONTH_BYTES]; /* "2026-11" */
    struct export_span span;       /* the days of it that are asked for */
    int64_t about_rows;
    bool has_rows;
};

struct export_months {
    struct export_month *items; /* that can be read, oldest first */
    size_t count;
    json_t *archived; /* names of those that cannot */
};

/* export_months_reset() frees it, after a failure too. */
MUST_CHECK bool export_months_find(struct export_months *months, struct snapshot *snapshot, const struct export_source *source,
                                   const struct export_choice *choice, struct error *err);
void export_months_reset(struct export_months *months);

/* About how many rows all of them have. */
int64_t export_months_rows(const struct export_months *months);

/* Whether nothing that is asked for is archived. Where something is, and that is allowed, a line on stderr names it; else
 * ERROR_RETRY does. */
MUST_CHECK bool export_months_check(const struct export_months *months, bool is_allowed, struct error *err);

#endif
