/* archive_folder.h - a folder of a target that is a directory, while it is open (archive_directory.c is the store that lies there).
 *
 * What root makes in the tree of somebody else is given to that user, and root follows no link there but the target itself. Errors
 * are ERROR_USAGE where rights are wanting (with who this is, whose it is, and the command that mends it), where the file system is
 * read-only, where a link stands in root's way, and where a path is too long; else ERROR_RETRY. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_FOLDER_H
#define TALLYMILL_OPERATOR_ARCHIVE_FOLDER_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "common/error.h"

enum { ARCHIVE_FOLDER_USER_BYTES = 64 };

/* The caller's own; archive_folder_close() after each success of open, make and find (there: where *is_there). */
struct archive_folder {
    int fd; /* -1: none */
    char path[PATH_MAX];
    const char *target_path; /* borrowed */
    struct stat target;      /* whose all of it has to be */
};

/* The target, which may be a link. ERROR_RETRY, too: it is gone. */
MUST_CHECK bool archive_folder_open(struct archive_folder *folder, const char *target_path, struct error *err);

/* The folder below the target in which the last name of a key (archive_store.h) stands; *name points to that in `key`. What is
 * missing on the way is made, never the target itself (ERROR_RETRY: it is gone); what is there and root's is given, too. */
MUST_CHECK bool archive_folder_make(struct archive_folder *folder, const char *target_path, const char *key, const char **name,
                                    struct error *err);

/* The same where nothing is made. True with *is_there false: there is none, or no target any more. */
MUST_CHECK bool archive_folder_find(struct archive_folder *folder, const char *target_path, const char *key, const char **name,
                                    bool *is_there, struct error *err);

void archive_folder_close(struct archive_folder *folder); /* one that is not open, too */

/* What was made, renamed or deleted in it is on the disk. */
MUST_CHECK bool archive_folder_sync(const struct archive_folder *folder, struct error *err);

/* What root has made there under that name, and has open as `fd`, is to belong to whom the target belongs to. */
MUST_CHECK bool archive_folder_give(const struct archive_folder *folder, const char *name, int fd, struct error *err);

/* A file to read, which the caller closes. True with *fd -1: there is none. */
MUST_CHECK bool archive_folder_read(const struct archive_folder *folder, const char *name, int *fd, struct error *err);

/* The names in a directory that is open as `above`, or stands there and is no link; closedir() is the caller's. NULL: errno. */
MUST_CHECK DIR *archive_folder_list(int above, const char *name);

/* False, with errno about what has that name in the folder; where rights are wanting and it cannot even be looked at, and with "",
 * about the folder. `what`: "cannot write". */
bool archive_folder_failed(const struct archive_folder *folder, const char *name, const char *what, struct error *err);

/* A user as chown takes it; returns `text`. */
const char *archive_folder_user(char text[ARCHIVE_FOLDER_USER_BYTES], uid_t uid);

/* The command that gives the tree of the target to a user. */
void archive_folder_chown(const struct archive_folder *folder, uid_t uid, char *remedy, size_t size);

/* What gives this user what it was refused, of something that is `owner`'s. */
void archive_folder_remedy(const struct archive_folder *folder, uid_t owner, char *remedy, size_t size);

#endif
