/* watch.h - --watch: a command that looks again and again, until somebody ends it. Main thread. */
#ifndef TALLYMILL_OPERATOR_WATCH_H
#define TALLYMILL_OPERATOR_WATCH_H

#include <stdbool.h>

#include "common/error.h"

struct watch {
    const char *program; /* "tallymill lag" */
    bool as_json; /* each look is a line; else a picture in the place of the one before where stdout is a terminal, and below it
                     where it is none */
    bool (*look)(void *context, struct error *err); /* asks; false: err says why */
    void (*print)(void *context);                   /* what was asked, on stdout */
    void (*forget)(void *context);                  /* after each look, whether it failed or not */
    void *context;
};

/* Every two seconds. A server that is away for a while is part of what is watched, and is told on stderr. Returns false, with an
 * error that no waiting mends (ERROR_USAGE, ERROR_FATAL), or where nobody reads stdout any more (ERROR_RETRY). */
MUST_CHECK bool watch(const struct watch *watch, struct error *err);

#endif
