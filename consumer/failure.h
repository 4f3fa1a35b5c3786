/* failure.h - what the server has said of a step that failed: the error, whose rule it was, and where to look first.
 *
 * Its texts are copies; any thread.
 */
#ifndef TALLYMILL_CONSUMER_FAILURE_H
#define TALLYMILL_CONSUMER_FAILURE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "consumer/failure_plan.h"

enum { FAILURE_DETAIL_BYTES = 4096, FAILURE_NAME_BYTES = 64, FAILURE_PLACE_BYTES = 160 };

struct failure {
    struct error error; /* its text may quote the row: it goes into a dead letter, and into a log only by failure_hide() */
    enum failure_step step;
    enum failure_owner owner;
    bool was_raised;
    int guessed_row; /* the row of the batch that the server's text seems to blame, or -1: where to look first, never a verdict */
    char detail[FAILURE_DETAIL_BYTES]; /* Postgres's DETAIL ("3/epoch 5/position" of TM001) */
    char schema[FAILURE_NAME_BYTES], table[FAILURE_NAME_BYTES], constraint[FAILURE_NAME_BYTES]; /* "" where it names none */
    char place[FAILURE_PLACE_BYTES]; /* the innermost function that was at work, in the server's words: "PL/pgSQL function f() line
                                        3 at RAISE" */
};

/* No failure. */
void failure_clear(struct failure *failure);

/* Whose code the context of an error names (PG_DIAG_CONTEXT: a line for each function or statement, innermost first), in whatever
 * language the server speaks. place: as in struct failure. */
enum failure_code { CODE_OF_NOBODY, CODE_OF_BOOKS, CODE_OF_USER };
enum failure_code failure_code(const char *context, char place[FAILURE_PLACE_BYTES]);

/* From a failed result. */
void failure_read(struct failure *failure, const PGconn *conn, const PGresult *result, enum failure_step step);

/* Of `sent` rows of events only `stored` stand in the table as they were sent. */
void failure_changed(struct failure *failure, long stored, long sent);

/* Fewer rows are there than were sent, and no error: a trigger of somebody else answered NULL. */
void failure_kept_out(struct failure *failure, enum failure_step step, long stored, long sent);

/* The facts of a plan; the caller adds what only it knows: is_lost, by_look_up, taken_offsets, months_made. Borrows the SQLSTATE.
 */
struct failure_facts failure_facts(const struct failure *failure, bool by_insert, int tries);

/* The error as a log may show it: of a refusal by somebody else's rule, by SQLSTATE, constraint, table and place, without words
 * that may quote the row. */
void failure_hide(const struct failure *failure, struct error *shown);

#endif
