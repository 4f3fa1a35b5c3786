/* reader.h - connections for the dashboard's questions: each request has one to itself, or two, and one snapshot of the database
 * for all of its questions.
 *
 * Read-only, with a login that has tallymill_read and no more. Opened when they are wanted, kept, and opened anew when they broke.
 * Any thread; a reader that was taken is of the thread that took it.
 */
#ifndef TALLYMILL_OPERATOR_DASHBOARD_READER_H
#define TALLYMILL_OPERATOR_DASHBOARD_READER_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

struct disk;
struct reader;
struct readers;
struct settings;

/* `count` at most; who asks for more waits. Beside them `helpers`, for readers_join(). NULL: no memory. */
struct readers *readers_new(struct settings *settings, int count, int helpers);
void readers_free(struct readers *readers);

/* A connection in a fresh REPEATABLE READ READ ONLY transaction. NULL: Postgres is away (ERROR_RETRY; asked again at most once a
 * second), the schema or a right is missing (ERROR_USAGE). */
MUST_CHECK struct reader *readers_take(struct readers *readers, struct error *err);

/* A second connection, in the snapshot of `reader`, which was just taken and has been asked nothing: for another thread. NULL:
 * there is none now (all are taken, or none could join within the last minute), and one does without. Waits for no other
 * request, and a second for each of Postgres's answers. Given back as the other. */
struct reader *readers_join(struct readers *readers, struct reader *reader);

/* Back, whatever it was left in. */
void readers_give(struct readers *readers, struct reader *reader);

/* One query, of at most 5 s. Its failure leaves the snapshot as it is, unless the connection was lost. NULL: err. The caller frees
 * (PQclear). */
MUST_CHECK PGresult *reader_ask(struct reader *reader, const char *sql, struct error *err);

/* The same with parameters ($1, ...). */
MUST_CHECK PGresult *reader_ask_params(struct reader *reader, const char *sql, int count, const char *const *values,
                                       struct error *err);

/* How much room the database's disk has (common/disk.h); size_bytes: postgres.disk_size. As reader_ask. */
MUST_CHECK bool reader_disk(struct reader *reader, int64_t size_bytes, struct disk *disk, struct error *err);

/* For queries of a longer run: no limit of the server's, and the caller's deadline instead. */
MUST_CHECK PGresult *reader_ask_long(struct reader *reader, const char *sql, int64_t timeout_us, struct error *err);

/* The same while it is wanted (an export), which is asked a few times a second, with the context: what is wanted no more the server
 * is told to end. */
MUST_CHECK PGresult *reader_ask_while(struct reader *reader, const char *sql, int64_t timeout_us, bool (*is_wanted)(void *),
                                      void *context, struct error *err);

#endif
