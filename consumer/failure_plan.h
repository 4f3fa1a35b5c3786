/* failure_plan.h - what is to be done about a batch that was not committed: a decision from what is known of the failure, and
 * nothing else.
 *
 * No I/O, no clock, no memory: the same facts, the same answer. `failure` reads the facts, `outcome` carries the answer out.
 */
#ifndef TALLYMILL_CONSUMER_FAILURE_PLAN_H
#define TALLYMILL_CONSUMER_FAILURE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

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
    bool by_look_up;     /* those that were stored had been taken out before */
    bool is_lost;        /* the connection went before the answer came: what became of the batch is not known */
    int tries;           /* of this batch, this one included */
    int months_made;     /* how often all months of this batch were there, or were made, and it was refused all the same */
    int taken_offsets;   /* how often before the books held an offset that was to be stored, since a batch was stored */
};

enum failure_plan {
    PLAN_AGAIN,        /* the same batch, after a pause */
    PLAN_RECONNECT,    /* the same batch, on a new connection, after a pause */
    PLAN_FENCED,       /* drop what is fenced (TM001) */
    PLAN_BY_INSERT,    /* the same batch by INSERT ... ON CONFLICT, at once */
    PLAN_BY_LOOK_UP,   /* the same batch, without the rows that are stored, by COPY, at once: the table takes no ON CONFLICT */
    PLAN_READ_LEDGER,  /* the books hold the offset already: the ledger's word is asked, after a pause */
    PLAN_DISAGREE,     /* they go on holding it, whatever the ledger says: a person must look */
    PLAN_FORGET,       /* drop connection and batch: the ledger will tell what became of it */
    PLAN_MAKE_MONTHS,  /* then the same batch, at once */
    PLAN_MONTHS_AGAIN, /* then the same batch, after a pause: they were made before, and it was refused all the same */
    PLAN_SEARCH,       /* for the rows that are refused, which become dead letters */
    PLAN_STOP,         /* a person must look */
};

enum failure_plan failure_plan(const struct failure_facts *facts);

/* Whether the next tries go by INSERT ... ON CONFLICT, whatever else the plan says. */
bool failure_wants_insert(const struct failure_facts *facts);

/* What to do when making months, or the search, failed in turn; ERROR_NONE: the search found no row. */
MUST_CHECK enum failure_plan failure_plan_then(const struct error *err);

/* How many rows of a batch a search may turn into dead letters: of the last rows stored and this batch's, so that a few percent in
 * all are refused. */
int failure_most_refused(int64_t recent_rows, int64_t recent_refused, int batch_rows);

#endif
