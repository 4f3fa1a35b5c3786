/* buffer.h - bytes that come in pieces, held together. A thread has its own. */
#ifndef TALLYMILL_COMMON_BUFFER_H
#define TALLYMILL_COMMON_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero at first. Whoever takes `bytes` away owns them, and makes it all zero again. */
struct buffer {
    char *bytes; /* NUL-terminated behind `length`; NULL while nothing has come */
    size_t length, capacity;
};

/* Room for so many bytes in all, and the NUL: for whoever knows how many will come. False: no memory. */
bool buffer_reserve(struct buffer *buffer, size_t total);

/* False: no memory; what was there is there. The caller sees to how many it may be at most. */
bool buffer_add(struct buffer *buffer, const char *bytes, size_t length);

/* Frees what it holds. */
void buffer_reset(struct buffer *buffer);

#endif
