/* postgres_begin.h - how every transaction of ours begins: the one list of the settings that our reading or writing depends on.
 *
 * A database, a login, a connection string or whoever used a pooler's server connection before may have set any of them. So each
 * transaction sets them for itself: what a session sets holds for one transaction at most behind a pooler in transaction mode.
 * They are set by one SELECT of one number, in the message that begins: a statement of its own for each would cost three times
 * as much. A message is cut into statements by the settings that it finds, so no text that goes with it may hold a backslash.
 *
 * Time-outs are pinned too, for ours are the ones that recovery relies on; whoever needs another sets it behind.
 *
 * Not pinned, because they decide nothing of what we read or write: what only makes a plan better or worse; synchronous_commit
 * (after a crash the ledger stands where the rows do); default_tablespace; lc_messages. default_transaction_read_only is left as it
 * is on purpose: who switches it on, as providers do when a disk is nearly full, wants the writers held, and they wait and say so.
 *
 * Rejected: options= in the connection string, which poolers refuse; SET once a session, for the reason above; a function with
 * SET clauses around each statement, whose settings end with it, while COPY and COMMIT come after.
 */
#ifndef TALLYMILL_COMMON_POSTGRES_BEGIN_H
#define TALLYMILL_COMMON_POSTGRES_BEGIN_H

#define POSTGRES_PIN(name, value) "pg_catalog.set_config('" name "', '" value "', true)"
/* A setting that not every server knows. */
#define POSTGRES_PIN_KNOWN(name, value) \
    "CASE WHEN pg_catalog.current_setting('" name "', true) IS NOT NULL THEN " POSTGRES_PIN(name, value) " END"

/* Whose functions, operators and tables are meant: Postgres's own, and those whose schema we name. */
#define POSTGRES_PIN_NAMES POSTGRES_PIN("search_path", "pg_catalog, pg_temp")

/* Where a batch is stored, triggers of the database's owner run, and they may rely on the search_path that he has set: it comes
 * behind pg_catalog. So all that these transactions send names schemas, and calls with exactly the types that a function has. */
#define POSTGRES_PIN_NAMES_FIRST                                                                                                   \
    "CASE WHEN pg_catalog.length(pg_catalog.current_setting('search_path')) OPERATOR(pg_catalog.>) 0 "                             \
    "THEN pg_catalog.set_config('search_path', pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path')), "     \
    "true) "                                                                                                                       \
    "ELSE " POSTGRES_PIN_NAMES " END"

/* Rows that a policy hides are an error, never left out in silence. Not where a batch is stored: triggers of the database's owner
 * write tables of his own there, with policies that are meant to hold. The worker asks whether one holds for its own tables. */
#define POSTGRES_PIN_ALL_ROWS POSTGRES_PIN("row_security", "off")

/* Answers with one row of one integer. */
#define POSTGRES_PINS(first) \
    "SELECT pg_catalog.num_nulls(" first ", " \
    /* how what we send is read */ \
    POSTGRES_PIN("client_encoding", "UTF8") ", " POSTGRES_PIN("standard_conforming_strings", "on") ", " \
    POSTGRES_PIN("backslash_quote", "safe_encoding") ", " POSTGRES_PIN("escape_string_warning", "on") ", " \
    POSTGRES_PIN("array_nulls", "on") ", " POSTGRES_PIN("transform_null_equals", "off") ", " \
    POSTGRES_PIN("quote_all_identifiers", "off") ", " \
    /* how values become text, and texts values */ \
    POSTGRES_PIN("bytea_output", "hex") ", " POSTGRES_PIN("datestyle", "ISO, YMD") ", " \
    POSTGRES_PIN("intervalstyle", "postgres") ", " POSTGRES_PIN("timezone", "UTC") ", " \
    POSTGRES_PIN("extra_float_digits", "1") ", " POSTGRES_PIN("lc_numeric", "C") ", " POSTGRES_PIN("lc_time", "C") ", " \
    POSTGRES_PIN("xmlbinary", "base64") ", " \
    /* how a transaction ends */ \
    POSTGRES_PIN("statement_timeout", "0") ", " POSTGRES_PIN("lock_timeout", "10s") ", " \
    POSTGRES_PIN("idle_in_transaction_session_timeout", "0") ", " POSTGRES_PIN("exit_on_error", "off") ", " \
    POSTGRES_PIN_KNOWN("transaction_timeout", "0") ", " \
    POSTGRES_PIN_KNOWN("restrict_nonsystem_relation_kind", "") ")"

/* mode: "READ COMMITTED", "REPEATABLE READ", ... */
#define POSTGRES_BEGIN(mode)       "BEGIN ISOLATION LEVEL " mode "; " POSTGRES_PINS(POSTGRES_PIN_NAMES ", " POSTGRES_PIN_ALL_ROWS)
/* The same in the snapshot that another transaction has exported: a format, for its name. */
#define POSTGRES_BEGIN_JOINED(mode) POSTGRES_BEGIN(mode "; SET TRANSACTION SNAPSHOT '%s'")
#define POSTGRES_BEGIN_BATCH(mode) "BEGIN ISOLATION LEVEL " mode "; " POSTGRES_PINS(POSTGRES_PIN_NAMES_FIRST)

/* What would end a session while it waits, set once when it is opened. (A pooler keeps what it is given; it does its clients no
 * harm.) */
#define POSTGRES_SESSION "SET idle_session_timeout = 0"

#endif
