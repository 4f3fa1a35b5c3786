/* failure_plan.h - what is to be done about a batch that was rolled back: a decision from what is known of the failure, and nothing else.
 *
 * No I/O, no clock, no memory: the same facts, the same answer. `failure` reads the facts, `worker_commit` carries the answer out.
 */
#ifndef TALLYMILL_CONSUMER_FAILURE_PLAN_H
#define TALLYMILL_CONSUMER_FAILURE_PLAN_H

#include <stdbool.h>

#include "common/error.h"

/* The part of the transaction that was refused. */
enum failure_step {
    FAILURE_BEGIN,
    FAILURE_ROWS,
    FAILURE_DELTA,
    FAILURE_DEAD_LETTERS,
    FAILURE_COMMIT, /* fence, ledger rows, and what is checked only at COMMIT */
};

/* Whose rule it was that said no. */
enum failure_owner {
    OWNER_SERVER, /* nobody's: a lock, a disk, a right, a bug */
    OWNER_KEY,    /* the primary key of analytics_events, by table and name */
    OWNER_BOOKS,  /* a table or a function of the schema tallymill, and whatever runs below it */
    OWNER_USER,   /* a constraint or code that somebody else has added */
};

struct failure_facts {
    const char *sqlstate; /* "" where Postgres gave none */
    enum error_kind kind; /* what the SQLSTATE asks for by itself (postgres_kind) */
    enum failure_step step;
    enum failure_owner owner;
    bool has_constraint; /* the error names one */
    bool was_raised;     /* by a RAISE or the like in code of OWNER_USER: it says no, whatever the SQLSTATE */
    bool by_insert;      /* the rows went by INSERT ... ON CONFLICT */
    int tries;           /* of this batch, this one included */
};

enum failure_plan {
    FAILURE_AGAIN,       /* the same batch, after a pause */
    FAILURE_RECONNECT,   /* the same batch, on a new connection, after a pause */
    FAILURE_FENCED,      /* drop what is fenced (TM001) */
    FAILURE_BY_INSERT,   /* the same batch by INSERT ... ON CONFLICT, at once */
    FAILURE_READ_LEDGER, /* the books hold the offset already: the ledger's word is asked, after a pause */
    FAILURE_MAKE_MONTHS, /* then the same batch, at once */
    FAILURE_SEARCH,      /* for the rows that are refused, which become dead letters */
    FAILURE_STOP,        /* a person must look */
};

enum failure_plan failure_plan(const struct failure_facts *facts);

#endif
