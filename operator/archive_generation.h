/* archive_generation.h - one generation of a month in a store: is it what the books say, is its place free, and may it be deleted?
 *
 * A store may hold what these books do not know: of another database with the same target, or of the time after a backup was taken.
 * None of that is written over or deleted. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_GENERATION_H
#define TALLYMILL_OPERATOR_ARCHIVE_GENERATION_H

#include <stdbool.h>

#include "common/error.h"
#include "operator/archive_books.h"
#include "operator/archive_manifest.h"
#include "operator/month_name.h"

struct archive_store;

/* The manifest of the generation that the books name, which must be what they say. ERROR_REJECT: it is missing, or another.
 * archive_manifest_reset() in any case. */
MUST_CHECK bool archive_generation_manifest(struct archive_store *store, const struct month_name *month,
                                            const struct archive_view *view, struct archive_manifest *manifest, struct error *err);

/* The same where it need not be there: *is_there false, it is missing or another. */
MUST_CHECK bool archive_generation_look(struct archive_store *store, const struct month_name *month,
                                        const struct archive_view *view, struct archive_manifest *manifest, bool *is_there,
                                        struct error *err);

/* ERROR_USAGE: the store has a manifest of that generation, which the books do not know. */
MUST_CHECK bool archive_generation_is_free(struct archive_store *store, const struct month_name *month, int generation,
                                           struct error *err);

/* Whose what lies there is. *is_there: a manifest does; *is_ours false: it is another's than the one with this SHA-256. "": an
 * older release wrote it, and it is believed to be ours; NULL: we have written none. */
MUST_CHECK bool archive_generation_whose(struct archive_store *store, const struct month_name *month, int generation,
                                         const char *manifest_sha256, bool *is_there, bool *is_ours, struct error *err);

/* Deletes its blocks, for who knows that they are ours. *is_there: there were any. */
MUST_CHECK bool archive_generation_delete(struct archive_store *store, const struct month_name *month, int generation,
                                          bool *is_there, struct error *err);

#endif
