/* buffer.c - see buffer.h. It grows to twice of what is needed, so that many small pieces are copied a few times in all, and not
 * once for each piece that comes.
 */
#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_BYTES = 1024 };

bool buffer_reserve(struct buffer *buffer, size_t total)
{
    if (total < buffer->capacity)
        return true;
    char *wider = realloc(buffer->bytes, total + 1);
    if (!wider)
        return false;
    wider[buffer->length] = '\0';
    buffer->bytes = wider;
    buffer->capacity = total + 1;
    return true;
}

bool buffer_add(struct buffer *buffer, const char *bytes, size_t length)
{
    const size_t total = buffer->length + length;
    if (total >= buffer->capacity && !buffer_reserve(buffer, total * 2 + LEAST_BYTES))
        return false;
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length = total;
    buffer->bytes[total] = '\0';
    return true;
}

void buffer_reset(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
