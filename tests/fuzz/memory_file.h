/* memory_file.h - a file of these bytes that lives in memory, for readers that take a path. One at a time. */
#ifndef TALLYMILL_FUZZ_MEMORY_FILE_H
#define TALLYMILL_FUZZ_MEMORY_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Its path; valid until the next call, which replaces the content. Aborts when the kernel refuses. */
const char *memory_file(const uint8_t *bytes, size_t size);

#endif
