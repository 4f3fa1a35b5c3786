/* range.h - which days a page is about, of whom, of which language its funnel is, and with which days it is compared: read from a
 * request's query, so that a link shows the same again.
 *
 * Days are UTC, as days since 1970-01-01. Pure but for the clock that is handed in. Any thread.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_RANGE_H
#define TALLYMILL_OPERATOR_DASHBOARD_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* What a request says; NULL or "": its default. */
struct range_query {
    const char *range;        /* today, 7d, 28d (default), 91d, 12mo, custom */
    const char *first, *last; /* of custom: YYYY-MM-DD */
    const char *who;          /* external (default), all, internal */
    const char *compare;      /* previous (default), year, off */
    const char *grain;        /* auto (default), day, week, month */
    const char *language;     /* the only one that the funnel is of; default: all */
};

enum { RANGE_LANGUAGE_BYTES = 401 }; /* tallymill.label() keeps a hundred characters */

struct range {
    const char *name, *who, *grain; /* constants: one of the words above; grain is never auto */
    int32_t first, last;            /* both in it */
    int32_t today;                  /* a range that ends on it, or later, is not over */
    bool has_before;
    int32_t before_first, before_last;
    char language[RANGE_LANGUAGE_BYTES]; /* "": all; anything that somebody's event, or an address, may say */
};

/* Ranges are whole weeks that end yesterday, and are compared with days that are a multiple of a week away: each weekday stands
 * over the same one. False: ERROR_USAGE says which word is none. */
MUST_CHECK bool range_read(const struct range_query *query, int32_t today, struct range *range, struct error *err);

#endif
