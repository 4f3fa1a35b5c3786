/* archive_directory.c - a directory as a store of archives (archive_store.h).
 *
 * A file appears under its name only when it is whole and on the disk: temporary name, fsync, rename, fsync of the directory. The
 * target itself is never made: where it is missing, a disk is not mounted, and the archive would lie under the mount point. Of one
 * that is there and empty only the books can tell (archive_month).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/failpoint.h"
#include "operator/archive_store.h"

struct directory {
    char *path;
};

static bool failed(struct error *err, const char *what, const char *path)
{
    return error_set(err, errno == EACCES || errno == EPERM || errno == EROFS ? ERROR_USAGE : ERROR_RETRY, "%s %.300s: %s", what,
                     path, strerror(errno));
}

static void *directory_open(const struct settings *settings, const char *target, struct error *err)
{
    struct stat status;
    struct directory *directory = calloc(1, sizeof *directory);
    (void)settings;
    if (!directory || !(directory->path = strdup(target))) {
        error_set(err, ERROR_RETRY, "out of memory");
        free(directory);
        return NULL;
    }
    if (stat(target, &status) == 0 && S_ISDIR(status.st_mode))
        return directory;
    error_set(err, ERROR_USAGE, "archive.target %.300s is no directory (is its disk mounted?): make it, it is made by nobody else",
              target);
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

static bool directory_check(void *store, struct error *err)
{
    const struct directory *directory = store;
    return access(directory->path, R_OK | W_OK | X_OK) == 0 || failed(err, "cannot write into archive.target", directory->path);
}

static bool directory_is_bare(const void *store)
{
    const struct directory *directory = store;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/analytics_events", directory->path);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static bool directory_keeps_versions(const void *store)
{
    (void)store;
    return false;
}

static bool sync_directory(const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (!is_synced)
        failed(err, "cannot make durable", path);
    if (fd >= 0)
        close(fd);
    return is_synced;
}

/* Makes the folders of `path` (below the target, whose path has `from` bytes), each made durable in the one above. Ends with `path`
 * as it was, cut before its name. */
static bool make_folders(char *path, size_t from, struct error *err)
{
    for (char *slash = strchr(path + from + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool is_made = mkdir(path, 0700) == 0;
        if (!is_made && errno != EEXIST)
            return failed(err, "cannot make the directory", path);
        if (is_made) {
            char *above = strrchr(path, '/');
            *above = '\0';
            const bool is_synced = sync_directory(path, err);
            *above = '/';
            if (!is_synced)
                return false;
        }
        *slash = '/';
    }
    return true;
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

static bool write_file(const char *path, const char *bytes, size_t length, struct error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(err, "cannot write", path);
    bool is_written = write_all(fd, bytes, length) && fsync(fd) == 0;
    if (!is_written)
        failed(err, "cannot write", path);
    if (close(fd) != 0 && is_written)
        is_written = failed(err, "cannot write", path);
    return is_written;
}

static bool directory_put(void *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    const struct directory *directory = store;
    char path[PATH_MAX], temporary[PATH_MAX];
    const size_t used = (size_t)snprintf(path, sizeof path, "%s/%s", directory->path, key);
    if (used + sizeof ".new" > sizeof path)
        return error_set(err, ERROR_USAGE, "archive.target: the path %.200s... is too long", path);
    snprintf(temporary, sizeof temporary, "%.*s.new", (int)used, path);
    if (!make_folders(path, strlen(directory->path), err) || !write_file(temporary, bytes, length, err))
        return false;
    if (rename(temporary, path) != 0)
        return failed(err, "cannot rename", temporary);
    *strrchr(path, '/') = '\0';
    return sync_directory(path, err);
}

static bool read_all(int fd, struct archive_block *block, const char *path, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > ARCHIVE_BLOCK_MAX)
        return error_set(err, ERROR_REJECT, "%.300s is no file of an archive", path);
    block->length = (size_t)status.st_size;
    if (!(block->bytes = malloc(block->length + 1)))
        return error_set(err, ERROR_RETRY, "no memory for %zu bytes of %.300s", block->length, path);
    for (size_t at = 0; at < block->length;) { /* ends: each turn reads some, or fails */
        const ssize_t got = read(fd, block->bytes + at, block->length - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(err, "cannot read", path);
        if (got == 0)
            return error_set(err, ERROR_RETRY, "%.300s has become shorter while it was read", path);
        at += (size_t)got;
    }
    block->bytes[block->length] = '\0';
    return true;
}

static bool directory_get(void *store, const char *key, struct archive_block *block, struct error *err)
{
    const struct directory *directory = store;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory->path, key);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || failed(err, "cannot read", path);
    const bool is_read = read_all(fd, block, path, err);
    close(fd);
    if (!is_read) {
        free(block->bytes);
        *block = (struct archive_block){0};
    }
    return is_read;
}

/* ENOENT: somebody else was faster. */
static bool delete_file(DIR *folder, const char *path, const char *name, int *count, struct error *err)
{
    const bool is_gone = unlinkat(dirfd(folder), name, 0) == 0;
    *count += is_gone;
    return is_gone || errno == ENOENT || failed(err, "cannot delete files of", path);
}

static bool directory_delete_all(void *store, const char *prefix, const char *last, int *count, struct error *err)
{
    const struct directory *directory = store;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%.*s", directory->path, (int)strlen(prefix) - 1, prefix);
    DIR *listing = opendir(path);
    bool is_deleted = true;
    if (!listing)
        return errno == ENOENT || failed(err, "cannot list", path);
    for (const struct dirent *entry; is_deleted && (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, last) != 0)
            is_deleted = delete_file(listing, path, entry->d_name, count, err);
    FAILPOINT("archive_emptied");
    is_deleted = is_deleted && delete_file(listing, path, last, count, err);
    closedir(listing);
    return is_deleted && (rmdir(path) == 0 || errno == ENOENT || failed(err, "cannot delete", path));
}

const struct archive_store_kind archive_store_directory = {
    directory_open, directory_close,      directory_check,          directory_put,
    directory_get,  directory_delete_all, directory_keeps_versions, directory_is_bare};
