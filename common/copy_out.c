/* copy_out.c - see copy_out.h.
 *
 * Rejected: a cursor and FETCH, whose result libpq holds whole, page by page, and which costs the backend a plan without parallel
 * workers.
 */
#include "common/copy_out.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/clock.h"
#include "common/postgres_error.h"
#include "common/statement.h"

enum { ROWS_BETWEEN_LOOKS = 4096, ENOUGH_BYTES = 64 << 10, MOST_BYTES = 256 << 10, READS = 8, MOMENT_NS = 300000 };

/* Up to the answer that COPY has begun. */
static bool begin(PGconn *conn, const char *sql, struct statement_wait *wait, struct error *err)
{
    PGresult *result;
    if (!statement_send(conn, sql, 0, NULL, wait, err))
        return false;
    for (;;) { /* ends: with the COPY, an error, or at the deadline */
        if (!statement_next(conn, wait, &result, err))
            return false;
        const ExecStatusType status = PQresultStatus(result);
        if (!result || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK))
            break;
        PQclear(result);
    }
    const bool has_begun = result && PQresultStatus(result) == PGRES_COPY_OUT;
    if (!has_begun) {
        postgres_error(err, conn, result);
        if (wait->watch)
            wait->watch->explain(wait->context, conn, err);
    }
    PQclear(result);
    return has_begun;
}

static int ready_bytes(PGconn *conn)
{
    int bytes;
    return ioctl(PQsocket(conn), FIONREAD, &bytes) == 0 ? bytes : 0;
}

/* Postgres hands over 8 KB at a time. Woken for each, we and the kernel would work as long for it as for the rows in it: so a
 * stream that has only begun to come is given a moment. Nor more than MOST_BYTES at once: libpq's buffer doubles whenever it is
 * full and never shrinks, and where the server is quicker than we are, it would grow to 32 MB. */
static bool take_stream(PGconn *conn, struct error *err)
{
    if (ready_bytes(conn) < ENOUGH_BYTES)
        nanosleep(&(struct timespec){.tv_nsec = MOMENT_NS}, NULL);
    int reads = 0, bytes = 0, ready = ready_bytes(conn);
    do {
        if (!PQconsumeInput(conn)) /* 16 KB at first, then what its buffer has grown to */
            return postgres_error(err, conn, NULL);
        bytes += ready;
        ready = ready_bytes(conn);
    } while (++reads < READS && ready > 0 && bytes < MOST_BYTES);
    return true;
}

/* One row into *row (owned by the caller); *length -1: the data has ended. */
static bool next_row(PGconn *conn, struct statement_wait *wait, char **row, int *length, struct error *err)
{
    bool is_waiting = false;
    while ((*length = PQgetCopyData(conn, row, 1)) == 0) { /* ends: at the deadline */
        if (!is_waiting)
            wait->deadline_us = clock_now_us() + wait->timeout_us;
        is_waiting = true;
        if (!statement_await(conn, POLLIN, wait, err) || !take_stream(conn, err))
            return false;
    }
    return *length != -2 || postgres_error(err, conn, NULL);
}

bool copy_out(PGconn *conn, const char *sql, struct statement_wait *wait, copy_out_take *take, void *context, struct error *err)
{
    if (!begin(conn, sql, wait, err))
        return false;
    for (unsigned count = 1;; count++) { /* ends: with the data, or at a deadline */
        char *row;
        int length;
        if (!next_row(conn, wait, &row, &length, err))
            return false;
        if (length == -1)
            break;
        const bool goes_on = take(context, row, (size_t)length, err);
        PQfreemem(row);
        const bool is_look = wait->watch && count % ROWS_BETWEEN_LOOKS == 0;
        if (!goes_on || (is_look && !wait->watch->look(wait->context, conn, clock_now_us(), false, err)))
            return false;
    }
    wait->deadline_us = clock_now_us() + wait->timeout_us;
    PGresult *result = statement_last(conn, wait, err);
    PQclear(result);
    return result != NULL;
}
