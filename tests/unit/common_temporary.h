/* common_temporary.h - a small file that a test writes for the code under test to read; it goes with the test's process. */
#ifndef TALLYMILL_TEST_TEMPORARY_H
#define TALLYMILL_TEST_TEMPORARY_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void temporary_remove_all(void);

static char temporary_paths[8][64];
static int temporary_count;

/* The path of a new file with these bytes. */
static inline const char *temporary_bytes(const char *bytes, size_t length)
{
    cr_assert_lt(temporary_count, 8);
    char *path = temporary_paths[temporary_count++];
    snprintf(path, sizeof temporary_paths[0], "/tmp/tallymill-unit-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
    close(fd);
    if (temporary_count == 1)
        atexit(temporary_remove_all);
    return path;
}

static inline const char *temporary_text(const char *text)
{
    return temporary_bytes(text, strlen(text));
}

static inline void temporary_remove_all(void)
{
    for (int i = 0; i < temporary_count; i++)
        unlink(temporary_paths[i]);
}

#endif
