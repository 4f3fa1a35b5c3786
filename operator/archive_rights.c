/* archive_rights.c - see archive_rights.h.
 *
 * Somebody is us, or, where we are root, whoever the target belongs to. The first thing that keeps one of them out is told; what is
 * below it cannot be known. Nothing but what archives consist of is looked at: lost+found of a disk is root's. No link is followed,
 * whoever asks: what it leads to is no part of the target.
 */
#include "operator/archive_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "operator/archive_folder.h"
#include "operator/archive_store.h"

enum { DEPTH_MAX = 8, EVERYTHING = R_OK | W_OK | X_OK };

struct look {
    const struct archive_folder *folder;
    bool is_found, is_refused; /* is_refused: it is us */
    uid_t owner;               /* of `path`, which was found */
    char path[PATH_MAX];
};

static void look_into(struct look *look, int above, const char *name, int depth);

static void look_at(struct look *look, int above, const char *name, int depth)
{
    struct stat status;
    const size_t used = strlen(look->path);
    if (fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || S_ISLNK(status.st_mode) ||
        used + strlen(name) + 2 > sizeof look->path)
        return;
    snprintf(look->path + used, sizeof look->path - used, "/%s", name);
    look->is_refused = faccessat(above, name, S_ISDIR(status.st_mode) ? EVERYTHING : R_OK, AT_EACCESS) != 0 && errno == EACCES;
    look->is_found = look->is_refused || (geteuid() == 0 && status.st_uid != look->folder->target.st_uid);
    look->owner = status.st_uid;
    if (!look->is_found && S_ISDIR(status.st_mode) && depth < DEPTH_MAX)
        look_into(look, above, name, depth + 1);
    if (!look->is_found)
        look->path[used] = '\0';
}

static void look_into(struct look *look, int above, const char *name, int depth)
{
    DIR *listing = archive_folder_list(above, name);
    for (const struct dirent *entry; listing && !look->is_found && (entry = readdir(listing)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            look_at(look, dirfd(listing), entry->d_name, depth);
    if (listing)
        closedir(listing);
}

static void tell(const struct look *look, struct archive_rights *rights)
{
    const uid_t should_own = look->folder->target.st_uid;
    char us[ARCHIVE_FOLDER_USER_BYTES], whose[ARCHIVE_FOLDER_USER_BYTES], should[ARCHIVE_FOLDER_USER_BYTES];
    archive_folder_user(whose, look->owner);
    archive_folder_user(should, should_own);
    if (look->is_refused) {
        snprintf(rights->what, sizeof rights->what, "%.160s belongs to %s, and user %s, who runs this, may not use it", look->path,
                 whose, archive_folder_user(us, geteuid()));
        archive_folder_remedy(look->folder, look->owner, rights->remedy, sizeof rights->remedy);
        return;
    }
    snprintf(rights->what, sizeof rights->what, "%.160s belongs to %s, and archive.target %.80s to %s: one of them cannot use it",
             look->path, whose, look->folder->target_path, should);
    archive_folder_chown(look->folder, should_own == 0 ? look->owner : should_own, rights->remedy, sizeof rights->remedy);
}

bool archive_rights_look(const char *target_path, struct archive_rights *rights, struct error *err)
{
    struct archive_folder folder;
    *rights = (struct archive_rights){.is_owner = false};
    if (!archive_folder_open(&folder, target_path, err))
        return false;
    struct look look = {.folder = &folder};
    snprintf(look.path, sizeof look.path, "%s", folder.path);
    rights->is_owner = geteuid() == 0 || geteuid() == folder.target.st_uid;
    const bool is_usable = faccessat(folder.fd, ".", EVERYTHING, AT_EACCESS) == 0 ||
                           archive_folder_failed(&folder, "", "cannot write into archive.target", err);
    if (is_usable)
        look_at(&look, folder.fd, ARCHIVE_STORE_EVENTS, 0);
    if (look.is_found)
        tell(&look, rights);
    archive_folder_close(&folder);
    return is_usable;
}
