/* advise_asking.h - `tallymill advise` at a database: one snapshot, in which a question may fail or take too long, and the facts
 * that come of it. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ADVISE_ASKING_H
#define TALLYMILL_OPERATOR_ADVISE_ASKING_H

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"

struct settings;
struct snapshot;

/* All borrowed. */
struct asking {
    struct snapshot *snapshot;
    const struct settings *settings;
    json_t *facts, *notes; /* notes: texts, what is unknown and why */
    bool has_timed_out;    /* the last question that failed was cancelled: it took too long */
};

/* A question that may fail, or take too long: NULL and no error where it did, and a note says so. `names`: where unqualified names
 * are found, NULL as ever. ERROR_RETRY: the connection is lost. */
MUST_CHECK PGresult *asking_try(struct asking *asking, const char *what, const char *sql, const char *names, int seconds,
                                struct error *err);

/* The fact of that name, taken over; NULL: it is not known. */
void asking_set(struct asking *asking, const char *name, json_t *value);

#endif
