/* archive_return.h - how a month comes back from its archive: in one transaction, or it did not. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_RETURN_H
#define TALLYMILL_OPERATOR_ARCHIVE_RETURN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "operator/archive_books.h"

struct archive_store;
struct settings;

/* Zeroed at first; archive_return_close() in any case. */
struct archive_return {
    struct archive_store *store; /* where it was found */
    struct archive_manifest manifest;
    bool is_newer; /* it is no generation that the books name (archive_newer) */
    int64_t took_us;
};

/* Opens the store that the archive lies in and reads its manifest. Where it was moved, archive.target says where it is now. Errors
 * as of archive_store_open() and archive_generation_manifest(): of that place, where it answers and the old one has nothing. */
MUST_CHECK bool archive_return_find(struct archive_return *back, const struct settings *settings, const struct month_name *month,
                                    const struct archive_view *view, struct error *err);

/* The same of the newest generation that the books do not know, where the one that they name is gone. ERROR_REJECT: there is none.
 */
MUST_CHECK bool archive_return_find_newer(struct archive_return *back, const struct settings *settings,
                                          const struct month_name *month, const struct archive_view *view, struct error *err);

/* The one transaction: filled, indexed, attached, in the books. `note` (NULL: none) is called in it, before it is committed. On a
 * failure nothing was done, and the connection of the books may be of no use. */
MUST_CHECK bool archive_return_month(struct archive_return *back, struct archive_books *books, const struct month_name *month,
                                     bool (*note)(void *context, PGconn *conn, struct error *err), void *context,
                                     struct error *err);

void archive_return_close(struct archive_return *back);

#endif
