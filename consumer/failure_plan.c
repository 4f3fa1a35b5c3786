/* failure_plan.c - see failure_plan.h.
 *
 * Four questions, in this order. Is it known what became of the batch? At which step was it refused: a delta is left out, and of
 * rows, at COMMIT too where the rule is neither the books' nor the server's, it matters whose it is: the key's, somebody's, or the
 * month that is missing; a dead letter that somebody's rule refuses waits. Is it an answer of our own books: fenced, or an offset
 * that they hold already? Else the SQLSTATE alone decides. What the server itself says for want of something (a lock, a disk) is
 * tried again even inside a trigger of somebody else: no event is buried for a disk that is full. What that trigger RAISEs with
 * such an SQLSTATE is tried again a few times, and then believed.
 */
#include "consumer/failure_plan.h"

#include "common/postgres.h"

enum {
    MOST_MONTH_TRIES = 3,
    RAISED_TRIES = 4,
    MOST_TAKEN_OFFSETS = 10,
    REFUSED_ROWS = 50,
    REFUSED_PERCENT = 5,
    REFUSED_OF_ROWS = 1000
};

static bool is(const struct failure_facts *facts, enum postgres_state state)
{
    return postgres_state_is(facts->sqlstate, state);
}

/* By the SQLSTATE alone. */
static enum failure_plan plan_by_kind(const struct failure_facts *facts)
{
    if (is(facts, POSTGRES_READ_ONLY)) /* this server was demoted; connecting may find the new one */
        return PLAN_RECONNECT;
    if (facts->kind == ERROR_FATAL || (facts->kind == ERROR_USAGE && is(facts, POSTGRES_NO_RIGHT)))
        return PLAN_STOP;
    return facts->kind == ERROR_USAGE ? PLAN_RECONNECT
                                      : PLAN_AGAIN; /* USAGE: perhaps a migration under way; connecting looks at the schema */
}

/* Of a table whose events cannot go by INSERT ... ON CONFLICT, whatever they are: it has a rule, or a deferrable constraint over
 * the columns of the key (which is named). */
static bool is_against_inserts(const struct failure_facts *facts)
{
    if (!facts->by_insert || facts->was_raised)
        return false;
    if (is(facts, POSTGRES_NOT_IN_STATE))
        return facts->has_constraint;
    return facts->owner == OWNER_SERVER && is(facts, POSTGRES_UNSUPPORTED);
}

static enum failure_plan plan_for_rows(const struct failure_facts *facts)
{
    if (facts->owner == OWNER_KEY && facts->by_look_up) /* stored since by somebody else: it is looked up again */
        return PLAN_AGAIN;
    if (facts->owner == OWNER_KEY && !facts->by_insert)
        return PLAN_BY_INSERT;
    if (is_against_inserts(facts))
        return PLAN_BY_LOOK_UP;
    if (facts->owner == OWNER_USER && facts->kind == ERROR_RETRY && !is(facts, POSTGRES_CHECK))
        return facts->was_raised && facts->tries >= RAISED_TRIES ? PLAN_SEARCH : PLAN_AGAIN;
    if (facts->owner == OWNER_USER)
        return PLAN_SEARCH;
    if (is(facts, POSTGRES_CHECK) && !facts->has_constraint) /* no table partition takes the row */
        return facts->months_made < MOST_MONTH_TRIES ? PLAN_MAKE_MONTHS : PLAN_MONTHS_AGAIN;
    if (is(facts, POSTGRES_UNSUPPORTED)) /* a trigger made the row one of another month */
        return PLAN_SEARCH;
    return facts->kind == ERROR_REJECT ? PLAN_SEARCH : plan_by_kind(facts);
}

enum failure_plan failure_plan(const struct failure_facts *facts)
{
    if (facts->is_lost)
        return PLAN_FORGET;
    switch (facts->step) {
    case FAILURE_DELTA: return PLAN_AGAIN; /* no fault of the batch's: it goes without */
    case FAILURE_ROWS: return plan_for_rows(facts);
    case FAILURE_COMMIT:
        if (facts->owner != OWNER_BOOKS && facts->owner != OWNER_SERVER)
            return plan_for_rows(facts);
        break;
    case FAILURE_DEAD_LETTERS:
        if (facts->owner == OWNER_USER)
            return PLAN_AGAIN; /* there is no other place for it */
        break;
    case FAILURE_BEGIN: break;
    }
    if (facts->owner == OWNER_BOOKS && is(facts, POSTGRES_FENCED))
        return PLAN_FENCED;
    if (facts->owner == OWNER_BOOKS && is(facts, POSTGRES_UNIQUE))
        return facts->taken_offsets < MOST_TAKEN_OFFSETS ? PLAN_READ_LEDGER : PLAN_DISAGREE;
    return plan_by_kind(facts);
}

bool failure_wants_insert(const struct failure_facts *facts)
{
    return is(facts, POSTGRES_DEADLOCK); /* crossing duplicates: that way takes the keys in order */
}

enum failure_plan failure_plan_then(const struct error *err)
{
    const struct failure_facts facts = {.sqlstate = err->sqlstate, .kind = err->kind};
    return plan_by_kind(&facts);
}

int failure_most_refused(int64_t recent_rows, int64_t recent_refused, int batch_rows)
{
    const int64_t rows = recent_rows + batch_rows;
    int64_t most = (rows < REFUSED_OF_ROWS ? REFUSED_OF_ROWS : rows) * REFUSED_PERCENT / 100;
    if (most < REFUSED_ROWS)
        most = REFUSED_ROWS;
    return recent_refused < most ? (int)(most - recent_refused) : 0;
}
