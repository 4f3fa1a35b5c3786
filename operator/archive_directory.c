/* archive_directory.c - a directory as a store of archives (archive_store.h).
 *
 * A file appears under its name only when it is whole, on the disk and whose it has to be: temporary name, the owner of the target
 * (archive_folder.h), fsync, rename, fsync of the directory. Of a target that is there and empty only the books can tell whether it
 * is the right one (archive_month).
 *
 * Rejected: to write into a temporary file that a killed run left. Whoever owns the target may have put a link in its place, and
 * root would write where it leads.
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
#include "operator/archive_folder.h"
#include "operator/archive_rights.h"
#include "operator/archive_store.h"

#define UNIT_TARGET "/var/lib/tallymill/archive" /* which the unit makes (StateDirectory=) */

struct directory {
    char *path;
};

static void *directory_open(const struct settings *settings, const char *target, struct error *err)
{
    struct stat status;
    char us[ARCHIVE_FOLDER_USER_BYTES];
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
                  strerror(errno), archive_folder_user(us, geteuid()), target);
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

static bool directory_rights(const void *store, struct archive_rights *rights, struct error *err)
{
    const struct directory *directory = store;
    return archive_rights_look(directory->path, rights, err);
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
    snprintf(path, sizeof path, "%s/" ARCHIVE_STORE_EVENTS, directory->path);
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
static bool write_file(const struct archive_folder *folder, const char *name, const char *bytes, size_t length, struct error *err)
{
    if (unlinkat(folder->fd, name, 0) != 0 && errno != ENOENT)
        return archive_folder_failed(folder, "", "cannot write in", err);
    const int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return archive_folder_failed(folder, "", "cannot write in", err);
    bool is_written = archive_folder_give(folder, name, fd, err);
    if (is_written && !(write_all(fd, bytes, length) && fsync(fd) == 0))
        is_written = archive_folder_failed(folder, name, "cannot write", err);
    if (close(fd) != 0 && is_written)
        is_written = archive_folder_failed(folder, name, "cannot write", err);
    return is_written;
}

static bool directory_put(void *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    const struct directory *directory = store;
    struct archive_folder folder;
    const char *name;
    char temporary[NAME_MAX];
    if (!archive_folder_make(&folder, directory->path, key, &name, err))
        return false;
    snprintf(temporary, sizeof temporary, "%.200s.new", name);
    const bool is_put =
        write_file(&folder, temporary, bytes, length, err) &&
        (renameat(folder.fd, temporary, folder.fd, name) == 0 || archive_folder_failed(&folder, temporary, "cannot rename", err)) &&
        archive_folder_sync(&folder, err);
    archive_folder_close(&folder);
    return is_put;
}

static bool read_all(int fd, struct archive_block *block, const struct archive_folder *folder, const char *name, struct error *err)
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
            return archive_folder_failed(folder, name, "cannot read", err);
        if (got == 0)
            return error_set(err, ERROR_RETRY, "%.300s/%.60s has become shorter while it was read", folder->path, name);
        at += (size_t)got;
    }
    block->bytes[block->length] = '\0';
    return true;
}

static bool directory_get(void *store, const char *key, struct archive_block *block, struct error *err)
{
    const struct directory *directory = store;
    struct archive_folder folder;
    const char *name;
    bool is_there;
    int fd;
    const bool is_found = archive_folder_find(&folder, directory->path, key, &name, &is_there, err);
    if (!is_found || !is_there)
        return is_found;
    const bool is_read = archive_folder_read(&folder, name, &fd, err) && (fd < 0 || read_all(fd, block, &folder, name, err));
    if (fd >= 0)
        close(fd);
    archive_folder_close(&folder);
    if (!is_read) {
        free(block->bytes);
        *block = (struct archive_block){0};
    }
    return is_read;
}

/* ENOENT: somebody else was faster. */
static bool delete_file(const struct archive_folder *folder, const char *name, int *count, struct error *err)
{
    const bool is_gone = unlinkat(folder->fd, name, 0) == 0;
    *count += is_gone;
    return is_gone || errno == ENOENT || archive_folder_failed(folder, "", "cannot delete files of", err);
}

static bool delete_files(const struct archive_folder *folder, const char *last, int *count, struct error *err)
{
    DIR *listing = archive_folder_list(folder->fd, ".");
    bool is_deleted = true;
    if (!listing)
        return archive_folder_failed(folder, "", "cannot list", err);
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
    const struct directory *directory = store;
    struct archive_folder folder, above;
    const char *name;
    bool is_there;
    char folder_key[PATH_MAX];
    snprintf(folder_key, sizeof folder_key, "%.*s", (int)strlen(prefix) - 1, prefix);
    bool is_deleted = archive_folder_find(&folder, directory->path, prefix, &name, &is_there, err);
    if (!is_deleted || !is_there)
        return is_deleted;
    is_deleted = delete_files(&folder, last, count, err);
    archive_folder_close(&folder);
    is_deleted = is_deleted && archive_folder_find(&above, directory->path, folder_key, &name, &is_there, err);
    if (!is_deleted || !is_there)
        return is_deleted;
    is_deleted =
        unlinkat(above.fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || archive_folder_failed(&above, name, "cannot delete", err);
    archive_folder_close(&above);
    return is_deleted;
}

const struct archive_store_kind archive_store_directory = {
    directory_open,       directory_close,          directory_check,   directory_put,   directory_get,
    directory_delete_all, directory_keeps_versions, directory_is_bare, directory_rights};
