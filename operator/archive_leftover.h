/* archive_leftover.h - generations of archived months that do not count (any more): what lies of them in a store goes.
 *
 * Where archives were moved, the books go on naming the old place, which may be there and empty: so what is not found in it is
 * looked for where archive.target points. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_LEFTOVER_H
#define TALLYMILL_OPERATOR_ARCHIVE_LEFTOVER_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_books.h"

struct archive_store;
struct settings;

/* Those of a month (NULL: of all), oldest first: archive_leftovers.sql. The caller's (PQclear). */
MUST_CHECK PGresult *archive_leftover_ask(struct archive_books *books, const struct month_name *month, struct error *err);

/* Deletes what lies of that row. True: it is gone, and may be entered so (archive_books_tidied). *store: where it lay, the caller's
 * to close; NULL: nothing of it lay anywhere. False with err: ERROR_REJECT, another's manifest is in its place, and stays; else it
 * could not be reached, or is in none of the places that are known. */
MUST_CHECK bool archive_leftover_delete(const struct settings *settings, struct archive_books *books,
                                        const struct month_name *month, const PGresult *left, int row, struct archive_store **store,
                                        struct error *err);

#endif
