/* watch.c - see watch.h. */
#include "operator/watch.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { AGAIN_MS = 2000 };

bool watch(const struct watch *watch, struct error *err)
{
    const bool is_picture = isatty(STDOUT_FILENO) == 1 && !watch->as_json;
    for (;;) { /* ends: with a signal, an error that no waiting mends, or an output that is closed */
        error_clear(err);
        const bool is_seen = watch->look(watch->context, err);
        if (is_seen) {
            fputs(is_picture ? "\x1b[H\x1b[2J" : "", stdout);
            watch->print(watch->context);
            fputs(is_picture || watch->as_json ? "" : "\n", stdout);
        }
        watch->forget(watch->context);
        if (!is_seen && err->kind != ERROR_RETRY) {
            return false;
        }
        if (!is_seen) {
            fprintf(stderr, "%s: %s\n", watch->program, err->text);
        }
        if (fflush(stdout) != 0 || ferror(stdout)) {
            return error_set(err, ERROR_RETRY, "the answer could not be written");
        }
        poll(NULL, 0, AGAIN_MS);
    }
}
