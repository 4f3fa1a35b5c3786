/* postgres_error.h - what an error of Postgres asks for. The codes stand in postgres_error.c and nowhere else. Any thread. */
#ifndef TALLYMILL_COMMON_POSTGRES_ERROR_H
#define TALLYMILL_COMMON_POSTGRES_ERROR_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"

/* Fills err from a failed result or a broken connection (result NULL): kind by postgres_kind(), sqlstate, primary message, detail,
 * hint where it is ours. The detail of a refused row is left out: it quotes the row. SQLSTATE 23514 without a constraint's name
 * means that no table partition takes the row (its month is missing): RETRY; so do 54000 where the server has no transaction ids
 * left, and whatever it says of a file of its own that it cannot reach. Returns false. */
bool postgres_error(struct error *err, const PGconn *conn, const PGresult *result);

/* Row security on a table of ours hides rows from our login: ERROR_USAGE as of 42501, with the statement that mends it. Returns
 * false. */
bool postgres_row_security(struct error *err, const PGconn *conn, const char *table);

/* A name as an identifier of SQL, in quotes, those in it doubled; cut where it is longer than a name can be. */
enum { POSTGRES_IDENTIFIER_BYTES = 2 * 63 + 3 };
const char *postgres_identifier(char identifier[POSTGRES_IDENTIFIER_BYTES], const char *name);

/* Whether the error of a failed result comes from one of these source files of the server's (NULL ends the list): their names are
 * not localised, and tell apart what has one SQLSTATE. */
bool postgres_said_in(const PGresult *result, const char *const *files);

/* What an SQLSTATE asks for: RETRY, REJECT (the row), USAGE (schema, rights, missing database) or FATAL (unknown to us). NULL or ""
 * = connection lost = RETRY. The one table of it. */
enum error_kind postgres_kind(const char *sqlstate);

/* What a caller may have to know of an error beyond its kind. The codes and classes behind each stand in postgres_error.c and
 * nowhere else. */
enum postgres_state {
    POSTGRES_REFUSED,        /* the server answered, and the connection goes on: neither lost nor being ended by the server */
    POSTGRES_LOGIN_REFUSED,  /* class 28; a login that TLS refuses counts as one */
    POSTGRES_NO_RIGHT,       /* 42501 */
    POSTGRES_NO_SCHEMA,      /* the schema or the table that is asked for is not there: nobody has migrated */
    POSTGRES_MIGRATING,      /* a table, column or function of ours is not there: after the start, a migration may be under way */
    POSTGRES_READ_ONLY,      /* 25006: a failover has left us on a standby */
    POSTGRES_CONFLICT,       /* class 40: serialization failure, deadlock */
    POSTGRES_DEADLOCK,       /* 40P01 */
    POSTGRES_LOCKED,         /* 55P03: lock_timeout */
    POSTGRES_CANCELLED,      /* 57014: statement_timeout, or somebody's cancel */
    POSTGRES_UNIQUE,         /* 23505 */
    POSTGRES_UNSUPPORTED,    /* 0A000; of a row: a BEFORE trigger made it one of another table partition */
    POSTGRES_NOT_IN_STATE,   /* 55000: an object is not in the state that is needed */
    POSTGRES_CHECK,          /* 23514; without a constraint's name: no table partition takes the row */
    POSTGRES_STILL_USED,     /* 2BP01: something stands on what is to be dropped; the detail names it */
    POSTGRES_INTERNAL,       /* XX000; two databases of a server that alter one role get it too */
    POSTGRES_DAMAGED,        /* class XX: the server found what it kept damaged, or a fault of its own */
    POSTGRES_FENCED,         /* TM001 */
    POSTGRES_CONTRACT,       /* TM004: an argument that one of our functions does not take */
    POSTGRES_MONTH_ARCHIVED, /* TM005 */
    POSTGRES_NOT_SO,         /* TM006: what is asked for is not so */
    POSTGRES_MONTH_DETACHED, /* TM007: somebody's table is in the month's place */
    POSTGRES_TOPIC_ANEW,     /* TM009 */
    POSTGRES_KEPT_OUT,       /* TM010: a trigger or a rule of somebody else keeps the books from being written */
};
bool postgres_is(const struct error *err, enum postgres_state state);
bool postgres_state_is(const char *sqlstate, enum postgres_state state); /* the same of an SQLSTATE; "": there is none */

/* Gives an error that we found ourselves the SQLSTATE that the server would have given. Only states of one code. */
void postgres_mark(struct error *err, enum postgres_state state);

#endif
