/* months.h - the months that `tallymill migrate` makes ahead, and what is wrong with those that somebody made by hand. One thread.
 */
#ifndef TALLYMILL_OPERATOR_MONTHS_H
#define TALLYMILL_OPERATOR_MONTHS_H

#include <stdbool.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"

/* What was found: arrays of texts, owned by the caller. */
struct months_report {
    int ahead, made;
    json_t *damages; /* rows are stored where no month counts them; each with the statements that move them */
    json_t *notes;   /* a right or an index is missing */
};

/* Makes the months from this one to `ahead` months later, each in a transaction of its own: one that cannot be made keeps no other.
 * Those that somebody made by hand are taken note of. False: ERROR_RETRY (a lock, a server), or what make_month() refuses for
 * another reason than the rows of somebody. */
MUST_CHECK bool months_make(PGconn *conn, struct months_report *report, struct error *err);

/* Prints the report's findings on stderr. Returns whether there is a damage. */
bool months_print(const struct months_report *report);

void months_report_free(struct months_report *report);

#endif
