/* copy_in.c - see copy_in.h. The connection is non-blocking: what would block is waited for, with a deadline that begins anew. */
#include "operator/copy_in.h"

#include <poll.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/postgres_error.h"
#include "common/rights.h"
#include "common/statement.h"

/* Without a byte from or to the server; a slow disk or a lock is waited for as long. */
static const int64_t STALLED_US = 300 * CLOCK_SECOND_US;

static bool broken(PGconn *conn, struct error *err)
{
    return postgres_error(err, conn, NULL);
}

bool copy_in_begin(PGconn *conn, const char *sql, struct error *err)
{
    struct statement_wait wait = statement_wait_for(STALLED_US);
    PGresult *result = NULL;
    if (!statement_send(conn, sql, 0, NULL, &wait, err) || !statement_next(conn, &wait, &result, err))
        return false;
    const bool has_begun = PQresultStatus(result) == PGRES_COPY_IN;
    if (!has_begun) {
        postgres_error(err, conn, result);
        rights_explain(conn, err);
    }
    PQclear(result);
    return has_begun;
}

/* Until libpq can take more. */
static bool wait_for_room(PGconn *conn, struct error *err)
{
    struct statement_wait wait = statement_wait_for(STALLED_US);
    return statement_await(conn, POLLIN | POLLOUT, &wait, err) && (PQconsumeInput(conn) == 1 || broken(conn, err));
}

bool copy_in_put(PGconn *conn, const char *bytes, size_t length, struct error *err)
{
    enum { PIECE_BYTES = 1 << 20 };
    for (size_t at = 0; at < length;) { /* ends: each turn takes a piece, or waits with a deadline */
        const int piece = length - at < PIECE_BYTES ? (int)(length - at) : PIECE_BYTES;
        const int taken = PQputCopyData(conn, bytes + at, piece);
        if (taken == -1)
            return broken(conn, err);
        if (taken == 1)
            at += (size_t)piece;
        else if (!wait_for_room(conn, err))
            return false;
    }
    return true;
}

bool copy_in_end(PGconn *conn, struct error *err)
{
    int taken;
    while ((taken = PQputCopyEnd(conn, NULL)) == 0) /* ends: at the deadline of a wait */
        if (!wait_for_room(conn, err))
            return false;
    struct statement_wait wait = statement_wait_for(STALLED_US);
    PGresult *result = taken == 1 && statement_flush(conn, &wait, err) ? statement_last(conn, &wait, err) : NULL;
    if (taken != 1)
        broken(conn, err);
    PQclear(result);
    return result != NULL;
}
