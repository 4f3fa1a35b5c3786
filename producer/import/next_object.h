/* next_object.h - where in a stream of JSON the next object begins, when this one is never closed. Pure. */
#ifndef TALLYMILL_PRODUCER_IMPORT_NEXT_OBJECT_H
#define TALLYMILL_PRODUCER_IMPORT_NEXT_OBJECT_H

#include <stddef.h>

/* In a text, NUL-terminated behind its length, that begins with the object, or with what stands between two: where the next one
 * seems to begin, or NULL. */
const char *next_object(const char *text, size_t length);

#endif
