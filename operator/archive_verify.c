/* archive_verify.c - see archive_month.h: whether what was kept of a month can still be read, wherever it is now. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/progress.h"
#include "operator/archive_month.h"
#include "operator/archive_parts.h"
#include "operator/archive_return.h"

bool archive_month_verify(struct archive_run *run, const struct month_name *month, bool *is_kept, struct archive_report *report,
                          struct error *err)
{
    struct archive_view view;
    struct archive_return found = {0};
    struct progress progress;
    char what[40];
    if (!archive_books_find(&run->books, month, &view, err))
        return false;
    *is_kept = view.generation > 0 && strcmp(view.target, "none") != 0 &&
               (strcmp(view.archive_state, "proven") == 0 || strcmp(view.archive_state, "dropped") == 0);
    if (!*is_kept)
        return true;
    snprintf(what, sizeof what, "rows of %s verified", month->text);
    progress_init(&progress, what, view.rows, clock_now_us());
    const bool is_good = archive_return_find(&found, run->settings, month, &view, err) &&
                         archive_parts_read(found.store, &found.manifest, NULL, NULL, &progress, err);
    progress_clear(&progress);
    *report = (struct archive_report){
        .generation = view.generation, .rows = view.rows, .bytes = view.bytes, .parts = found.manifest.part_count};
    archive_return_close(&found);
    return is_good;
}
