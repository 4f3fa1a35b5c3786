/* common_log_captured.h - what the code under test logs (Criterion runs each test in a process of its own). */
#ifndef TALLYMILL_TEST_LOG_CAPTURED_H
#define TALLYMILL_TEST_LOG_CAPTURED_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *log_captured_file;

/* From now on stderr goes into a file of the test's own. */
static inline void log_captured_begin(void)
{
    log_captured_file = tmpfile();
    cr_assert_not_null(log_captured_file);
    cr_assert_eq(dup2(fileno(log_captured_file), STDERR_FILENO), STDERR_FILENO);
    unsetenv("JOURNAL_STREAM");
}

/* All that was written since. */
static inline const char *log_captured(void)
{
    static char text[32 * 1024];
    rewind(log_captured_file);
    text[fread(text, 1, sizeof text - 1, log_captured_file)] = '\0';
    return text;
}

/* How often these words were. */
static inline int log_captured_count(const char *words)
{
    int count = 0;
    for (const char *at = log_captured(); (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

#endif
