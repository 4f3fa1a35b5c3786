/* check.h - what --check finds: all of it at once, and one exit code. Main thread. */
#ifndef TALLYMILL_COMMON_CHECK_H
#define TALLYMILL_COMMON_CHECK_H

#include <stdbool.h>

#include "common/error.h"

struct check {
    const char *program;   /* "tallymill-consumer" */
    enum error_kind worst; /* ERROR_USAGE wins: with that the program would end before anything else */
};

/* Tells a finding on stderr ("PROGRAM: TEXT"). Returns false. */
bool check_found(struct check *check, const struct error *err);

/* 0 when nothing was found; 2 when something is wrong with settings, schema or rights; else 1, or 3 for a person. */
int check_exit_code(const struct check *check);

#endif
