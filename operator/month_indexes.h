/* month_indexes.h - the index of internal events, built for the months that were there before it, one after the other, without
 * keeping anybody waiting. One thread. */
#ifndef TALLYMILL_OPERATOR_MONTH_INDEXES_H
#define TALLYMILL_OPERATOR_MONTH_INDEXES_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

enum { MONTH_INDEXES_TEXT = 1024 };

struct month_indexes_report {
    int built, refused;
    char refusal[MONTH_INDEXES_TEXT]; /* the first: a table that somebody else owns */
};

/* Builds it where it is missing (CREATE INDEX CONCURRENTLY, then ATTACH). A month that refuses is noted and keeps no other. False:
 * the server. */
MUST_CHECK bool month_indexes_build(PGconn *conn, struct month_indexes_report *report, struct error *err);

/* Prints what was refused on stderr. */
void month_indexes_print(const struct month_indexes_report *report);

#endif
