/* archive_generation.c - see archive_generation.h. Whose a manifest is tells its SHA-256, which the books have before the store has
 * the manifest. */
#include "operator/archive_generation.h"

#include <string.h>

#include "common/error.h"
#include "operator/archive_newer.h"
#include "operator/archive_store.h"

static bool is_of_books(const struct archive_manifest *manifest, const struct archive_view *view)
{
    return strcmp(manifest->row_hash, view->row_hash) == 0 && manifest->rows == view->rows &&
           manifest->foreign_rows == view->foreign_rows && manifest->bytes == view->bytes &&
           (view->manifest_sha256[0] == '\0' || strcmp(manifest->sha256, view->manifest_sha256) == 0);
}

bool archive_generation_manifest(struct archive_store *store, const struct month_name *month, const struct archive_view *view,
                                 struct archive_manifest *manifest, struct error *err)
{
    bool is_there = false;
    if (!archive_manifest_get(manifest, store, month->text, view->generation, &is_there, err))
        return false;
    if (!is_there)
        return archive_newer_explain(store, month, view->generation, err);
    return is_of_books(manifest, view) ||
           error_set(err, ERROR_REJECT, "DAMAGED: the manifest of generation %d of %s is not of what the books say was written",
                     view->generation, month->text);
}

/* Whatever lies there, a manifest that says nothing sensible too (is_sound is false then). False: the store did not answer. */
static bool get_any(struct archive_store *store, const struct month_name *month, int generation, struct archive_manifest *manifest,
                    bool *is_there, bool *is_sound, struct error *err)
{
    struct error wrong = {0};
    *is_there = false;
    *is_sound = archive_manifest_get(manifest, store, month->text, generation, is_there, &wrong);
    if (*is_sound || wrong.kind == ERROR_REJECT)
        return true;
    *err = wrong;
    return false;
}

bool archive_generation_look(struct archive_store *store, const struct month_name *month, const struct archive_view *view,
                             struct archive_manifest *manifest, bool *is_there, struct error *err)
{
    bool is_sound;
    if (!get_any(store, month, view->generation, manifest, is_there, &is_sound, err))
        return false;
    *is_there = *is_there && is_sound && is_of_books(manifest, view);
    return true;
}

bool archive_generation_is_free(struct archive_store *store, const struct month_name *month, int generation, struct error *err)
{
    struct archive_manifest other;
    char folder[ARCHIVE_KEY_BYTES];
    bool is_there, is_sound;
    const bool is_asked = get_any(store, month, generation, &other, &is_there, &is_sound, err);
    archive_manifest_reset(&other);
    archive_key(folder, month->text, generation, "");
    return is_asked &&
           (!is_there ||
            error_set(err, ERROR_USAGE,
                      "%s: %.200s has %s, which this database did not write: another database archives there (give each "
                      "an archive.target of its own), or this one was brought back from a backup of before (then move "
                      "that folder away)",
                      month->text, archive_store_target(store), folder));
}

bool archive_generation_whose(struct archive_store *store, const struct month_name *month, int generation,
                              const char *manifest_sha256, bool *is_there, bool *is_ours, struct error *err)
{
    struct archive_manifest manifest;
    bool is_sound;
    const bool is_asked = get_any(store, month, generation, &manifest, is_there, &is_sound, err);
    *is_ours = !*is_there || (manifest_sha256 && (manifest_sha256[0] == '\0' || strcmp(manifest.sha256, manifest_sha256) == 0));
    archive_manifest_reset(&manifest);
    return is_asked;
}

bool archive_generation_delete(struct archive_store *store, const struct month_name *month, int generation, bool *is_there,
                               struct error *err)
{
    char prefix[ARCHIVE_KEY_BYTES];
    int count = 0;
    archive_key(prefix, month->text, generation, "");
    const bool is_deleted = archive_store_delete_all(store, prefix, ARCHIVE_MANIFEST, &count, err);
    *is_there = count > 0;
    return is_deleted;
}
