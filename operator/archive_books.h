/* archive_books.h - what Postgres knows of a month and of its archives, and the statements that change it. Run as tallymill_admin.
 * One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_BOOKS_H
#define TALLYMILL_OPERATOR_ARCHIVE_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_manifest.h"
#include "operator/month_name.h"

struct check;
struct cli_result;
struct settings;

enum { ARCHIVE_NUMBER_BYTES = 48 };

/* What an operation on months has: a connection for the books, and one that holds the lock for as long as it stands, so that there
 * is one operation at a time. */
struct archive_books {
    PGconn *conn, *lock;
};

/* Connects twice, checks the schema and takes the lock. ERROR_RETRY: another `tallymill archive` or `restore` runs.
 * archive_books_close() in any case. */
MUST_CHECK bool archive_books_open(struct archive_books *books, const struct settings *settings, const char *application_name,
                                   struct error *err);
void archive_books_close(struct archive_books *books);

/* Where a month stands. Numbers of the archive are those of the newest that is not superseded; generation 0: there is none. */
struct archive_view {
    bool is_known; /* the books have such a month; else nothing of the rest is set */
    char state[16], table[160], owner[80];
    bool is_there, is_attached, is_pending, is_plain, is_owned; /* is_there: the table is */
    int generation, next_generation;
    char target[512], archive_state[16], row_hash[ROW_HASH_BYTES], server_hash[ARCHIVE_NUMBER_BYTES];
    char manifest_sha256[ARCHIVE_SHA256_BYTES]; /* "": an older release wrote it */
    int64_t rows, foreign_rows, bytes;
};

MUST_CHECK bool archive_books_look(struct archive_books *books, const struct month_name *month, struct archive_view *view,
                                   struct error *err);

/* The same of a month that there must be; else ERROR_USAGE. */
MUST_CHECK bool archive_books_find(struct archive_books *books, const struct month_name *month, struct archive_view *view,
                                   struct error *err);

/* What --check asks of archive.target and of the months that the command line names, for ground_check_also(): no lock is taken. */
MUST_CHECK bool archive_books_check(struct check *check, const struct cli_result *command);

/* A generation begins to be written; has been written as this manifest says (which comes to the store behind it), of a table with
 * this server hash; is proven; came to nothing; has its blocks deleted (its bytes are 0 from then on); has no blocks in the store
 * any more. */
MUST_CHECK bool archive_books_begin(struct archive_books *books, const struct month_name *month, int generation, const char *target,
                                    struct error *err);
MUST_CHECK bool archive_books_written(struct archive_books *books, const struct archive_manifest *manifest, const char *server_hash,
                                      struct error *err);
MUST_CHECK bool archive_books_proven(struct archive_books *books, const struct month_name *month, int generation,
                                     struct error *err);
MUST_CHECK bool archive_books_supersede(struct archive_books *books, const struct month_name *month, int generation,
                                        struct error *err);
MUST_CHECK bool archive_books_emptying(struct archive_books *books, const struct month_name *month, int generation,
                                       struct error *err);
MUST_CHECK bool archive_books_tidied(struct archive_books *books, const struct month_name *month, int generation,
                                     struct error *err);

/* The snapshot that a month was written out of: as many of its rows as then, none of a newer transaction, are the same rows of the
 * same table. Both are "" where another run wrote it. */
struct archive_moment {
    char since[24];     /* the oldest transaction that it may not have seen (xid8) */
    char identity[120]; /* of the table then, tallymill.month_identity(); "": its rows do not tell */
};

/* tallymill.begin_leaving, drop_month, attach_month. Of drop_month, ERROR_USAGE with TM006 (POSTGRES_NOT_SO): the month is not what
 * was written out, at `moment` where that is known. It waits so long, and some seconds, for who holds the month's table;
 * ERROR_RETRY then (POSTGRES_LOCKED) names them. */
MUST_CHECK bool archive_books_begin_leaving(struct archive_books *books, const struct month_name *month, int generation,
                                            struct error *err);
MUST_CHECK bool archive_books_drop(struct archive_books *books, const struct month_name *month, int generation,
                                   const struct archive_moment *moment, int64_t wait_us, struct error *err);
MUST_CHECK bool archive_books_attach(struct archive_books *books, const struct month_name *month, struct error *err);

/* The month's days wait for a rebuild. */
MUST_CHECK bool archive_books_mark_days(struct archive_books *books, const struct month_name *month, struct error *err);

/* The month's rollups that are out of date are due at once, whatever their cadence. */
MUST_CHECK bool archive_books_hurry(struct archive_books *books, const struct month_name *month, struct error *err);

/* How many dead letters wait for the month, and of how many the bytes are gone. */
MUST_CHECK bool archive_books_waiting(struct archive_books *books, const struct month_name *month, int64_t *waiting,
                                      int64_t *emptied, struct error *err);

#endif
