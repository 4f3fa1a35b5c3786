/* progress.h - one line on a terminal that says how far it is: share, how many, rate and time left. Silent where stderr is no
 * terminal. */
#ifndef TALLYMILL_COMMON_PROGRESS_H
#define TALLYMILL_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    const char *noun; /* "events", "rows"; borrowed */
    int64_t start_us, drawn_us;
    int64_t total; /* of whatever `done` counts (events, bytes); 0 or less: unknown */
};

enum { PROGRESS_TEXT_BYTES = 160 };

void progress_init(struct progress *progress, const char *noun, int64_t total, int64_t now_us);

/* Draws at most five times a second. */
void progress_draw(struct progress *progress, int64_t done, uint64_t count, int64_t now_us);

/* Wipes the line, so that a message can stand there. */
void progress_clear(struct progress *progress);

/* The line itself, without I/O. Returns its length. */
size_t progress_format(char text[PROGRESS_TEXT_BYTES], const char *noun, int64_t done, int64_t total, uint64_t count,
                       int64_t elapsed_us);

#endif
