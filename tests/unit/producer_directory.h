/* producer_directory.h - a directory of a test's own, for a spool. */
#ifndef TALLYMILL_TEST_PRODUCER_DIRECTORY_H
#define TALLYMILL_TEST_PRODUCER_DIRECTORY_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In memory where there is such a place, because thousands of files are made and synced, and no test here cuts the power. Valid
 * until the next call. */
static inline const char *new_directory(void)
{
    static char path[64];
    strcpy(path, "/dev/shm/tallymill-unit-XXXXXX");
    if (mkdtemp(path) != NULL)
        return path;
    strcpy(path, "/tmp/tallymill-unit-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

/* Those whose names hold this text. */
static inline void remove_files(const char *path, const char *kind)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, kind) != NULL)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
}

static inline void remove_directory(const char *path)
{
    remove_files(path, "");
    rmdir(path);
}

static inline unsigned count_segments(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strstr(entry->d_name, ".segment") != NULL;
    closedir(directory);
    return count;
}

#endif
