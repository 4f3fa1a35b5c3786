/* archive_directory.c - a directory as a store of archives (archive_store.h).
 *
 * A file appears under its name only when it is whole and on the disk: temporary name, fsync, rename, fsync of the directory. The
 * target itself is never made: where it is missing, a disk is not mounted, and the archive would lie under the mount point. Of one
 * that is there and empty only the books can tell (archive_month).
 *
 * What root writes belongs to the owner and the group of the target before it stands under its name: the unit that archives each
 * night is another user. That user may change the tree meanwhile, so root goes through it folder by folder, follows no link in it
 * and writes into no file that was there. Rejected: to work as that user (setfsuid), who may not reach the target from outside the
 * unit (/var/lib/private is root's).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/failpoint.h"
#include "operator/archive_store.h"

enum { USER_BYTES = 64, REMEDY_BYTES = 256, DEPTH_MAX = 8, EVERYTHING = R_OK | W_OK | X_OK };

#define EVENTS "analytics_events" /* the folder of the target in which all archives lie */

#define UNIT_TARGET "/var/lib/tallymill/archive" /* which the unit makes (StateDirectory=) */

struct directory {
    char *path;
};

/* A folder of the target that is open. */
struct folder {
    int fd; /* -1: none */
    char path[PATH_MAX];
    const char *target_path;
    struct stat target; /* whose all of it has to be */
};

/* As chown takes it. */
static const char *user_name(char text[USER_BYTES], uid_t uid)
{
    const struct passwd *person = getpwuid(uid);
    person ? snprintf(text, USER_BYTES, "%s", person->pw_name) : snprintf(text, USER_BYTES, "%u", uid);
    return text;
}

/* Whether root works in the tree of somebody else. */
static bool is_for_another(const struct stat *target)
{
    return geteuid() == 0 && target->st_uid != 0;
}

/* chown -R goes through no link, unless a slash ends its name. */
static void write_chown(char remedy[REMEDY_BYTES], uid_t uid, const char *target_path)
{
    struct stat status;
    char name[USER_BYTES];
    const bool is_link = lstat(target_path, &status) == 0 && S_ISLNK(status.st_mode);
    snprintf(remedy, REMEDY_BYTES, "chown -R %s: %.150s%s", user_name(name, uid), target_path, is_link ? "/" : "");
}

/* What gives this user what it was refused, of something that is `owner`'s. */
static void write_remedy(char remedy[REMEDY_BYTES], const char *target_path, const struct stat *target, uid_t owner)
{
    char whose[USER_BYTES];
    user_name(whose, target->st_uid);
    if (geteuid() == 0)
        snprintf(remedy, REMEDY_BYTES,
                 "the file system keeps root out (an export with root_squash?); as %s: runuser -u %s -- tallymill ...", whose,
                 whose);
    else if (target->st_uid != geteuid() && target->st_uid != 0)
        snprintf(remedy, REMEDY_BYTES, "run it as %s, whose the target is, or as root, who leaves all that it writes to %s", whose,
                 whose);
    else if (owner == geteuid())
        snprintf(remedy, REMEDY_BYTES, "chmod -R u+rwX %.150s", target_path);
    else
        write_chown(remedy, geteuid(), target_path);
}

/* errno about `path`: for want of rights with who this is, whose it is, and what mends it. */
static bool failed_at(const char *what, const char *path, uid_t owner, const char *target_path, const struct stat *target,
                      struct error *err)
{
    const int code = errno;
    char us[USER_BYTES], whose[USER_BYTES], remedy[REMEDY_BYTES];
    if (code == EROFS)
        return error_set(err, ERROR_USAGE,
                         "%s %.200s: %s (of a unit: it writes where StateDirectory= and ReadWritePaths= let it; systemctl edit "
                         "tallymill-archive.service)",
                         what, path, strerror(code));
    if (code != EACCES && code != EPERM)
        return error_set(err, ERROR_RETRY, "%s %.300s: %s", what, path, strerror(code));
    write_remedy(remedy, target_path, target, owner);
    return error_set(err, ERROR_USAGE, "%s %.160s: %s: this is user %s, and it belongs to %s: %s", what, path, strerror(code),
                     user_name(us, geteuid()), user_name(whose, owner), remedy);
}

/* About what has that name in the folder; where rights are wanting and it cannot even be looked at, and with "", about the folder.
 */
static bool failed(const struct folder *folder, const char *name, const char *what, struct error *err)
{
    const int code = errno;
    struct stat status = folder->target;
    char path[PATH_MAX + NAME_MAX + 2];
    bool is_named = name[0] != '\0';
    if (is_named && fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        is_named = code != EACCES && code != EPERM;
    if (!is_named && fstat(folder->fd, &status) != 0)
        status = folder->target;
    snprintf(path, sizeof path, "%s%s%s", folder->path, is_named ? "/" : "", is_named ? name : "");
    errno = code;
    return failed_at(what, path, status.st_uid, folder->target_path, &folder->target, err);
}

static bool is_too_long(const char *path, struct error *err)
{
    return error_set(err, ERROR_USAGE, "archive.target: the path %.200s... is too long", path);
}

/* The target, which may be a link. *is_there false: it is gone since it was looked at. */
static bool open_target(const struct directory *directory, struct folder *folder, bool *is_there, struct error *err)
{
    *folder = (struct folder){.fd = -1, .target_path = directory->path};
    *is_there = true;
    if (strlen(directory->path) >= sizeof folder->path)
        return is_too_long(directory->path, err);
    snprintf(folder->path, sizeof folder->path, "%s", directory->path);
    if (stat(directory->path, &folder->target) == 0)
        folder->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd >= 0)
        return true;
    *is_there = errno != ENOENT;
    return !*is_there || failed_at("cannot open", directory->path, folder->target.st_uid, directory->path, &folder->target, err);
}

static void close_folder(struct folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

static bool sync_folder(const struct folder *folder, struct error *err)
{
    return fsync(folder->fd) == 0 || failed(folder, "", "cannot make durable", err);
}

/* What root has made, and is to belong to another: to whom the target belongs. */
static bool give(const struct folder *folder, const char *name, int fd, struct error *err)
{
    struct stat status;
    char whose[USER_BYTES];
    if (!is_for_another(&folder->target))
        return true;
    if (fstat(fd, &status) != 0)
        return failed(folder, name, "cannot look at", err);
    if (status.st_uid != 0 || fchown(fd, folder->target.st_uid, folder->target.st_gid) == 0)
        return true;
    user_name(whose, folder->target.st_uid);
    return error_set(err, ERROR_USAGE, "cannot give %.200s/%.60s to %s, whose the target is: %s: runuser -u %s -- tallymill ...",
                     folder->path, name, whose, strerror(errno), whose);
}

static int open_below(const struct folder *folder, const char *name)
{
    return openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_for_another(&folder->target) ? O_NOFOLLOW : 0));
}

static bool cannot_open(const struct folder *folder, const char *name, const char *what, struct error *err)
{
    const int code = errno;
    struct stat status;
    char whose[USER_BYTES];
    if ((code == ENOTDIR || code == ELOOP) && fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode) && is_for_another(&folder->target))
        return error_set(err, ERROR_USAGE, "%.200s/%.60s is a link, and root follows none in what belongs to %s: run it as %s",
                         folder->path, name, user_name(whose, folder->target.st_uid), whose);
    errno = code;
    return failed(folder, name, what, err);
}

/* Under another name until it is whose it has to be; one that a run left which was killed goes first. */
static bool make_folder(const struct folder *above, const char *name, struct error *err)
{
    char temporary[NAME_MAX];
    snprintf(temporary, sizeof temporary, ".%.200s.new", name);
    unlinkat(above->fd, temporary, AT_REMOVEDIR);
    if (mkdirat(above->fd, temporary, 0700) != 0)
        return failed(above, "", "cannot make a directory in", err);
    const int fd = open_below(above, temporary);
    const bool is_given = fd >= 0 ? give(above, temporary, fd, err) : failed(above, temporary, "cannot open", err);
    if (fd >= 0)
        close(fd);
    FAILPOINT("archive_folder");
    if (!is_given)
        return false;
    return renameat(above->fd, temporary, above->fd, name) == 0 ? sync_folder(above, err)
                                                                : failed(above, name, "cannot make the directory", err);
}

/* Into a folder below. *is_there false: there is none, and none was to be made. */
static bool enter(struct folder *folder, const char *name, bool makes, bool *is_there, struct error *err)
{
    const size_t used = strlen(folder->path);
    int fd = open_below(folder, name);
    *is_there = fd >= 0 || errno != ENOENT || makes;
    if (!*is_there)
        return true;
    if (fd < 0 && errno == ENOENT) {
        if (!make_folder(folder, name, err))
            return false;
        fd = open_below(folder, name);
    }
    if (fd < 0)
        return cannot_open(folder, name, "cannot open", err);
    const bool is_given = !makes || give(folder, name, fd, err); /* one that an older release left to root, too */
    close(folder->fd);
    folder->fd = fd;
    if (used + strlen(name) + 2 > sizeof folder->path)
        return is_too_long(folder->path, err);
    snprintf(folder->path + used, sizeof folder->path - used, "/%s", name);
    return is_given;
}

/* The folder in which the last name of a key stands, which *name points to. Closed where this fails, and where it is not there. */
static bool find_folder(const struct directory *directory, const char *key, bool makes, struct folder *folder, const char **name,
                        bool *is_there, struct error *err)
{
    bool is_good = open_target(directory, folder, is_there, err);
    *name = key;
    for (const char *slash; is_good && *is_there && (slash = strchr(*name, '/')) != NULL; *name = slash + 1) {
        char step[NAME_MAX + 1];
        snprintf(step, sizeof step, "%.*s", (int)(slash - *name), *name);
        is_good = enter(folder, step, makes, is_there, err);
    }
    if (!is_good || !*is_there)
        close_folder(folder);
    return is_good;
}

static void *directory_open(const struct settings *settings, const char *target, struct error *err)
{
    struct stat status;
    char us[USER_BYTES];
    struct directory *directory = calloc(1, sizeof *directory);
    (void)settings;
    if (!directory || !(directory->path = strdup(target))) {
        error_set(err, ERROR_RETRY, "out of memory");
        free(directory);
        return NULL;
    }
    errno = 0;
    if (stat(target, &status) == 0 && S_ISDIR(status.st_mode))
        return directory;
    if (errno == EACCES)
        error_set(err, ERROR_USAGE,
                  "archive.target %.160s: %s: this is user %s, whom a directory above it keeps out: namei -l %.160s", target,
                  strerror(errno), user_name(us, geteuid()), target);
    else
        error_set(err, ERROR_USAGE,
                  "archive.target %.300s is no directory (is its disk mounted?): make it, it is made by nobody else%s", target,
                  strcmp(target, UNIT_TARGET) == 0 ? " but systemctl start tallymill-archive" : "");
    free(directory->path);
    free(directory);
    return NULL;
}

static void directory_close(void *store)
{
    struct directory *directory = store;
    free(directory->path);
    free(directory);
}

/* What keeps somebody out: us, or, where we are root, whoever the target belongs to. */
struct look {
    const struct stat *target;
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
    look->is_found = look->is_refused || (geteuid() == 0 && status.st_uid != look->target->st_uid);
    look->owner = status.st_uid;
    if (!look->is_found && S_ISDIR(status.st_mode) && depth < DEPTH_MAX)
        look_into(look, above, name, depth + 1);
    if (!look->is_found)
        look->path[used] = '\0';
}

static void look_into(struct look *look, int above, const char *name, int depth)
{
    const int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !listing)
        close(fd);
    for (const struct dirent *entry; listing && !look->is_found && (entry = readdir(listing)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            look_at(look, fd, entry->d_name, depth);
    if (listing)
        closedir(listing);
}

static void tell_look(const struct look *look, const char *target_path, struct archive_rights *rights)
{
    char us[USER_BYTES], whose[USER_BYTES], should[USER_BYTES];
    user_name(whose, look->owner);
    user_name(should, look->target->st_uid);
    if (look->is_refused) {
        snprintf(rights->what, sizeof rights->what, "%.160s belongs to %s, and user %s, who runs this, may not use it", look->path,
                 whose, user_name(us, geteuid()));
        write_remedy(rights->remedy, target_path, look->target, look->owner);
        return;
    }
    snprintf(rights->what, sizeof rights->what, "%.160s belongs to %s, and archive.target %.80s to %s: one of them cannot use it",
             look->path, whose, target_path, should);
    write_chown(rights->remedy, look->target->st_uid == 0 ? look->owner : look->target->st_uid, target_path);
}

/* Nothing but what archives consist of is looked at: lost+found of a disk is root's. */
static bool directory_rights(const void *store, struct archive_rights *rights, struct error *err)
{
    const struct directory *directory = store;
    struct folder folder;
    bool is_there;
    *rights = (struct archive_rights){.is_owner = false};
    if (!open_target(directory, &folder, &is_there, err))
        return false;
    if (!is_there)
        return error_set(err, ERROR_RETRY, "archive.target %.300s is gone", directory->path);
    struct look look = {.target = &folder.target};
    snprintf(look.path, sizeof look.path, "%s", folder.path);
    rights->is_owner = geteuid() == 0 || geteuid() == folder.target.st_uid;
    bool is_usable =
        faccessat(folder.fd, ".", EVERYTHING, AT_EACCESS) == 0 || failed(&folder, "", "cannot write into archive.target", err);
    if (is_usable)
        look_at(&look, folder.fd, EVENTS, 0);
    if (look.is_found)
        tell_look(&look, directory->path, rights);
    close_folder(&folder);
    return is_usable;
}

static bool directory_check(void *store, struct error *err)
{
    struct archive_rights rights;
    return directory_rights(store, &rights, err) &&
           (rights.what[0] == '\0' || error_set(err, ERROR_USAGE, "%s: %s", rights.what, rights.remedy));
}

static bool directory_is_bare(const void *store)
{
    const struct directory *directory = store;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" EVENTS, directory->path);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static bool directory_keeps_versions(const void *store)
{
    (void)store;
    return false;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) { /* ends: each turn writes some, or fails */
        const ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* A file that was not there before: one of that name may be somebody's link. */
static bool write_file(const struct folder *folder, const char *name, const char *bytes, size_t length, struct error *err)
{
    if (unlinkat(folder->fd, name, 0) != 0 && errno != ENOENT)
        return failed(folder, "", "cannot write in", err);
    const int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(folder, "", "cannot write in", err);
    bool is_written = give(folder, name, fd, err);
    if (is_written && !(write_all(fd, bytes, length) && fsync(fd) == 0))
        is_written = failed(folder, name, "cannot write", err);
    if (close(fd) != 0 && is_written)
        is_written = failed(folder, name, "cannot write", err);
    return is_written;
}

static bool directory_put(void *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    struct folder folder;
    const char *name;
    bool is_there;
    char temporary[NAME_MAX];
    if (!find_folder(store, key, true, &folder, &name, &is_there, err))
        return false;
    if (!is_there)
        return error_set(err, ERROR_RETRY, "archive.target %.300s is gone", folder.target_path);
    snprintf(temporary, sizeof temporary, "%.200s.new", name);
    const bool is_put =
        write_file(&folder, temporary, bytes, length, err) &&
        (renameat(folder.fd, temporary, folder.fd, name) == 0 || failed(&folder, temporary, "cannot rename", err)) &&
        sync_folder(&folder, err);
    close_folder(&folder);
    return is_put;
}

static bool read_all(int fd, struct archive_block *block, const struct folder *folder, const char *name, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > ARCHIVE_BLOCK_MAX)
        return error_set(err, ERROR_REJECT, "%.300s/%.60s is no file of an archive", folder->path, name);
    block->length = (size_t)status.st_size;
    if (!(block->bytes = malloc(block->length + 1)))
        return error_set(err, ERROR_RETRY, "no memory for %zu bytes of %.300s/%.60s", block->length, folder->path, name);
    for (size_t at = 0; at < block->length;) { /* ends: each turn reads some, or fails */
        const ssize_t got = read(fd, block->bytes + at, block->length - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(folder, name, "cannot read", err);
        if (got == 0)
            return error_set(err, ERROR_RETRY, "%.300s/%.60s has become shorter while it was read", folder->path, name);
        at += (size_t)got;
    }
    block->bytes[block->length] = '\0';
    return true;
}

static bool directory_get(void *store, const char *key, struct archive_block *block, struct error *err)
{
    struct folder folder;
    const char *name;
    bool is_there;
    const bool is_found = find_folder(store, key, false, &folder, &name, &is_there, err);
    if (!is_found || !is_there)
        return is_found;
    const int fd = openat(folder.fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (is_for_another(&folder.target) ? O_NOFOLLOW : 0));
    const bool is_read =
        fd >= 0 ? read_all(fd, block, &folder, name, err) : errno == ENOENT || cannot_open(&folder, name, "cannot read", err);
    if (fd >= 0)
        close(fd);
    close_folder(&folder);
    if (!is_read) {
        free(block->bytes);
        *block = (struct archive_block){0};
    }
    return is_read;
}

/* ENOENT: somebody else was faster. */
static bool delete_file(const struct folder *folder, const char *name, int *count, struct error *err)
{
    const bool is_gone = unlinkat(folder->fd, name, 0) == 0;
    *count += is_gone;
    return is_gone || errno == ENOENT || failed(folder, "", "cannot delete files of", err);
}

static bool delete_files(const struct folder *folder, const char *last, int *count, struct error *err)
{
    const int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    bool is_deleted = true;
    if (!listing) {
        is_deleted = failed(folder, "", "cannot list", err);
        if (fd >= 0)
            close(fd);
        return is_deleted;
    }
    for (const struct dirent *entry; is_deleted && (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, last) != 0)
            is_deleted = delete_file(folder, entry->d_name, count, err);
    FAILPOINT("archive_emptied");
    is_deleted = is_deleted && delete_file(folder, last, count, err);
    closedir(listing);
    return is_deleted;
}

static bool directory_delete_all(void *store, const char *prefix, const char *last, int *count, struct error *err)
{
    struct folder folder, above;
    const char *name;
    bool is_there;
    char folder_key[PATH_MAX];
    snprintf(folder_key, sizeof folder_key, "%.*s", (int)strlen(prefix) - 1, prefix);
    bool is_deleted = find_folder(store, prefix, false, &folder, &name, &is_there, err);
    if (!is_deleted || !is_there)
        return is_deleted;
    is_deleted = delete_files(&folder, last, count, err);
    close_folder(&folder);
    is_deleted = is_deleted && find_folder(store, folder_key, false, &above, &name, &is_there, err);
    if (!is_deleted || !is_there)
        return is_deleted;
    is_deleted = unlinkat(above.fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || failed(&above, name, "cannot delete", err);
    close_folder(&above);
    return is_deleted;
}

const struct archive_store_kind archive_store_directory = {
    directory_open,       directory_close,          directory_check,   directory_put,   directory_get,
    directory_delete_all, directory_keeps_versions, directory_is_bare, directory_rights};
