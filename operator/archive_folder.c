/* archive_folder.c - see archive_folder.h.
 *
 * The target itself is never made: where it is missing, a disk is not mounted, and the archive would lie under the mount point.
 *
 * What root makes belongs to the owner and the group of the target before it stands under its name: the unit that archives each
 * night is another user. That user may change the tree meanwhile, so root goes through it folder by folder and follows no link in
 * it. Rejected: to work as that user (setfsuid), who may not reach the target from outside the unit (/var/lib/private is root's).
 */
#include "operator/archive_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/failpoint.h"

const char *archive_folder_user(char text[ARCHIVE_FOLDER_USER_BYTES], uid_t uid)
{
    const struct passwd *person = getpwuid(uid);
    person ? snprintf(text, ARCHIVE_FOLDER_USER_BYTES, "%s", person->pw_name)
           : snprintf(text, ARCHIVE_FOLDER_USER_BYTES, "%u", uid);
    return text;
}

/* Whether root works in the tree of somebody else. */
static bool is_for_another(const struct archive_folder *folder)
{
    return geteuid() == 0 && folder->target.st_uid != 0;
}

/* chown -R goes through no link, unless a slash ends its name. */
void archive_folder_chown(const struct archive_folder *folder, uid_t uid, char *remedy, size_t size)
{
    struct stat status;
    char name[ARCHIVE_FOLDER_USER_BYTES];
    const bool is_link = lstat(folder->target_path, &status) == 0 && S_ISLNK(status.st_mode);
    snprintf(remedy, size, "chown -R %s: %.150s%s", archive_folder_user(name, uid), folder->target_path, is_link ? "/" : "");
}

void archive_folder_remedy(const struct archive_folder *folder, uid_t owner, char *remedy, size_t size)
{
    char whose[ARCHIVE_FOLDER_USER_BYTES];
    archive_folder_user(whose, folder->target.st_uid);
    if (geteuid() == 0)
        snprintf(remedy, size,
                 "the file system keeps root out (an export with root_squash?); as %s: runuser -u %s -- tallymill ...", whose,
                 whose);
    else if (folder->target.st_uid != geteuid() && folder->target.st_uid != 0)
        snprintf(remedy, size, "run it as %s, whose the target is, or as root, who leaves all that it writes to %s", whose, whose);
    else if (owner == geteuid())
        snprintf(remedy, size, "chmod -R u+rwX %.150s", folder->target_path);
    else
        archive_folder_chown(folder, geteuid(), remedy, size);
}

/* errno about `path`. */
static bool failed_at(const struct archive_folder *folder, const char *what, const char *path, uid_t owner, struct error *err)
{
    const int code = errno;
    char us[ARCHIVE_FOLDER_USER_BYTES], whose[ARCHIVE_FOLDER_USER_BYTES], remedy[256];
    if (code == EROFS)
        return error_set(err, ERROR_USAGE,
                         "%s %.200s: %s (of a unit: it writes where StateDirectory= and ReadWritePaths= let it; systemctl edit "
                         "tallymill-archive.service)",
                         what, path, strerror(code));
    if (code != EACCES && code != EPERM)
        return error_set(err, ERROR_RETRY, "%s %.300s: %s", what, path, strerror(code));
    archive_folder_remedy(folder, owner, remedy, sizeof remedy);
    return error_set(err, ERROR_USAGE, "%s %.160s: %s: this is user %s, and it belongs to %s: %s", what, path, strerror(code),
                     archive_folder_user(us, geteuid()), archive_folder_user(whose, owner), remedy);
}

bool archive_folder_failed(const struct archive_folder *folder, const char *name, const char *what, struct error *err)
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
    return failed_at(folder, what, path, status.st_uid, err);
}

static bool is_too_long(const char *path, struct error *err)
{
    return error_set(err, ERROR_USAGE, "archive.target: the path %.200s... is too long", path);
}

static bool is_gone(const char *target_path, struct error *err)
{
    return error_set(err, ERROR_RETRY, "archive.target %.300s is gone", target_path);
}

/* *is_there false: it is gone since it was looked at. */
static bool open_target(struct archive_folder *folder, const char *target_path, bool *is_there, struct error *err)
{
    *folder = (struct archive_folder){.fd = -1, .target_path = target_path};
    *is_there = true;
    if (strlen(target_path) >= sizeof folder->path)
        return is_too_long(target_path, err);
    snprintf(folder->path, sizeof folder->path, "%s", target_path);
    if (stat(target_path, &folder->target) == 0)
        folder->fd = open(target_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd >= 0)
        return true;
    *is_there = errno != ENOENT;
    return !*is_there || failed_at(folder, "cannot open", target_path, folder->target.st_uid, err);
}

bool archive_folder_open(struct archive_folder *folder, const char *target_path, struct error *err)
{
    bool is_there;
    return open_target(folder, target_path, &is_there, err) && (is_there || is_gone(target_path, err));
}

void archive_folder_close(struct archive_folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

bool archive_folder_sync(const struct archive_folder *folder, struct error *err)
{
    return fsync(folder->fd) == 0 || archive_folder_failed(folder, "", "cannot make durable", err);
}

bool archive_folder_give(const struct archive_folder *folder, const char *name, int fd, struct error *err)
{
    struct stat status;
    char whose[ARCHIVE_FOLDER_USER_BYTES];
    if (!is_for_another(folder))
        return true;
    if (fstat(fd, &status) != 0)
        return archive_folder_failed(folder, name, "cannot look at", err);
    if (status.st_uid != 0 || fchown(fd, folder->target.st_uid, folder->target.st_gid) == 0)
        return true;
    archive_folder_user(whose, folder->target.st_uid);
    return error_set(err, ERROR_USAGE, "cannot give %.200s/%.60s to %s, whose the target is: %s: runuser -u %s -- tallymill ...",
                     folder->path, name, whose, strerror(errno), whose);
}

static int open_in(const struct archive_folder *folder, const char *name, int flag)
{
    return openat(folder->fd, name, O_RDONLY | flag | O_CLOEXEC | (is_for_another(folder) ? O_NOFOLLOW : 0));
}

static bool cannot_open(const struct archive_folder *folder, const char *name, const char *what, struct error *err)
{
    const int code = errno;
    struct stat status;
    char whose[ARCHIVE_FOLDER_USER_BYTES];
    if ((code == ENOTDIR || code == ELOOP) && fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISLNK(status.st_mode) && is_for_another(folder))
        return error_set(err, ERROR_USAGE, "%.200s/%.60s is a link, and root follows none in what belongs to %s: run it as %s",
                         folder->path, name, archive_folder_user(whose, folder->target.st_uid), whose);
    errno = code;
    return archive_folder_failed(folder, name, what, err);
}

/* What is no file keeps nobody waiting (O_NONBLOCK): a pipe. */
bool archive_folder_read(const struct archive_folder *folder, const char *name, int *fd, struct error *err)
{
    *fd = open_in(folder, name, O_NONBLOCK);
    return *fd >= 0 || errno == ENOENT || cannot_open(folder, name, "cannot read", err);
}

DIR *archive_folder_list(int above, const char *name)
{
    const int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    const int code = errno;
    if (fd >= 0 && !listing)
        close(fd);
    errno = code;
    return listing;
}

/* Under another name until it is whose it has to be; one that a run left which was killed goes first. */
static bool make_below(const struct archive_folder *above, const char *name, struct error *err)
{
    char temporary[NAME_MAX];
    snprintf(temporary, sizeof temporary, ".%.200s.new", name);
    unlinkat(above->fd, temporary, AT_REMOVEDIR);
    if (mkdirat(above->fd, temporary, 0700) != 0)
        return archive_folder_failed(above, "", "cannot make a directory in", err);
    const int fd = open_in(above, temporary, O_DIRECTORY);
    const bool is_given =
        fd >= 0 ? archive_folder_give(above, temporary, fd, err) : archive_folder_failed(above, temporary, "cannot open", err);
    if (fd >= 0)
        close(fd);
    FAILPOINT("archive_folder");
    if (!is_given)
        return false;
    return renameat(above->fd, temporary, above->fd, name) == 0
               ? archive_folder_sync(above, err)
               : archive_folder_failed(above, name, "cannot make the directory", err);
}

/* Into a folder below. *is_there false: there is none, and none was to be made. */
static bool enter(struct archive_folder *folder, const char *name, bool makes, bool *is_there, struct error *err)
{
    const size_t used = strlen(folder->path);
    int fd = open_in(folder, name, O_DIRECTORY);
    *is_there = fd >= 0 || errno != ENOENT || makes;
    if (!*is_there)
        return true;
    if (fd < 0 && errno == ENOENT) {
        if (!make_below(folder, name, err))
            return false;
        fd = open_in(folder, name, O_DIRECTORY);
    }
    if (fd < 0)
        return cannot_open(folder, name, "cannot open", err);
    const bool is_given = !makes || archive_folder_give(folder, name, fd, err); /* one that an older release left to root, too */
    close(folder->fd);
    folder->fd = fd;
    if (used + strlen(name) + 2 > sizeof folder->path)
        return is_too_long(folder->path, err);
    snprintf(folder->path + used, sizeof folder->path - used, "/%s", name);
    return is_given;
}

/* Closed where this fails, and where it is not there. */
static bool go_to(struct archive_folder *folder, const char *target_path, const char *key, bool makes, const char **name,
                  bool *is_there, struct error *err)
{
    bool is_good = open_target(folder, target_path, is_there, err);
    *name = key;
    for (const char *slash; is_good && *is_there && (slash = strchr(*name, '/')) != NULL; *name = slash + 1) {
        char step[NAME_MAX + 1];
        snprintf(step, sizeof step, "%.*s", (int)(slash - *name), *name);
        is_good = enter(folder, step, makes, is_there, err);
    }
    if (!is_good || !*is_there)
        archive_folder_close(folder);
    return is_good;
}

bool archive_folder_make(struct archive_folder *folder, const char *target_path, const char *key, const char **name,
                         struct error *err)
{
    bool is_there;
    return go_to(folder, target_path, key, true, name, &is_there, err) && (is_there || is_gone(target_path, err));
}

bool archive_folder_find(struct archive_folder *folder, const char *target_path, const char *key, const char **name, bool *is_there,
                         struct error *err)
{
    return go_to(folder, target_path, key, false, name, is_there, err);
}
