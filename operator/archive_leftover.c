/* archive_leftover.c - see archive_leftover.h.
 *
 * That nothing lies in a place does not say that nothing lies anywhere: a generation whose manifest was written is gone only where
 * it was found and deleted. So the books know that it is being deleted before the first block goes, and a run that is ended then is
 * told from archives that somebody has moved. In the place that the books name whatever has no manifest is ours; in another, where
 * somebody else may be writing, only what has ours.
 */
#include "operator/archive_leftover.h"

#include <string.h>

#include "common/clock.h"
#include "common/settings.h"
#include "operator/admin.h"
#include "operator/answer.h"
#include "operator/archive_generation.h"
#include "operator/archive_store.h"

#define SHORT_US (60 * CLOCK_SECOND_US)

extern const char archive_leftovers_sql[];

struct leftover {
    const struct month_name *month;
    int generation;
    const char *target, *manifest_sha256; /* manifest_sha256: as for archive_generation_whose() */
};

PGresult *archive_leftover_ask(struct archive_books *books, const struct month_name *month, struct error *err)
{
    const char *const values[] = {month ? month->first : NULL};
    return admin_ask(books->conn, archive_leftovers_sql, 1, values, SHORT_US, err);
}

/* *is_there: something of it is, or was until now. */
static bool delete_there(struct archive_books *books, struct archive_store *store, const struct leftover *left, bool is_moved,
                         bool *is_there, struct error *err)
{
    bool is_ours, has_any;
    if (!archive_generation_whose(store, left->month, left->generation, left->manifest_sha256, is_there, &is_ours, err))
        return false;
    if (!is_ours) {
        *is_there = false;
        return error_set(err, is_moved ? ERROR_USAGE : ERROR_REJECT,
                         "what lies in %.200s has another manifest than the one that was written", archive_store_target(store));
    }
    if (!*is_there && is_moved)
        return true;
    if (*is_there && !archive_books_emptying(books, left->month, left->generation, err))
        return false;
    const bool is_deleted = archive_generation_delete(store, left->month, left->generation, &has_any, err);
    *is_there = *is_there || has_any;
    return is_deleted;
}

/* Where archives are now, if that is another place; NULL: it is not. */
static const char *moved_to(const struct settings *settings, const char *target)
{
    const char *set = settings_text(settings, "archive.target");
    return set[0] == '\0' || strcmp(set, "none") == 0 || strcmp(set, target) == 0 ? NULL : set;
}

static bool lies_nowhere(const struct leftover *left, const char *moved, struct error *err)
{
    return error_set(err, ERROR_USAGE,
                     "%.150s has nothing of it%s%.150s%s: bring its folder back; or, if it is gone for good: UPDATE "
                     "tallymill.archives SET parts = 0 WHERE month = '%s' AND generation = %d",
                     left->target, moved ? ", nor has " : "", moved ? moved : "", moved ? " its manifest" : "", left->month->first,
                     left->generation);
}

bool archive_leftover_delete(const struct settings *settings, struct archive_books *books, const struct month_name *month,
                             const PGresult *left, int row, struct archive_store **store, struct error *err)
{
    const struct leftover one = {month, (int)answer_int(left, row, "generation"), answer_text(left, row, "target"),
                                 answer_is_null(left, row, "manifest_sha256") ? NULL : answer_text(left, row, "manifest_sha256")};
    const char *moved = moved_to(settings, one.target);
    struct error first = {0};
    bool is_there = false;
    *store = archive_store_open(settings, one.target, &first);
    const bool is_open = *store != NULL, is_done = is_open && delete_there(books, *store, &one, false, &is_there, &first);
    if (is_there || (is_open && first.kind == ERROR_RETRY)) {
        *err = first;
        return is_done;
    }
    archive_store_close(*store);
    *store = moved ? archive_store_open(settings, moved, err) : NULL;
    if (moved && (!*store || !delete_there(books, *store, &one, true, &is_there, err)))
        return false;
    if (is_there)
        return true;
    archive_store_close(*store);
    *store = NULL;
    if (!is_open)
        return error_set(err, ERROR_USAGE, "it was written to %.200s, which cannot be opened%s%.200s%s", one.target,
                         moved ? ", and " : "", moved ? moved : "", moved ? " has no manifest of it" : "");
    if (!is_done)
        *err = first;
    return is_done &&
           (!answer_bool(left, row, "is_written") || answer_bool(left, row, "is_emptying") || lies_nowhere(&one, moved, err));
}
