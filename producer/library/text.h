/* text.h - is this text what Postgres takes: UTF-8 (RFC 3629: shortest forms, no surrogates, at most U+10FFFF) without NUL? */
#ifndef TALLYMILL_PRODUCER_LIBRARY_TEXT_H
#define TALLYMILL_PRODUCER_LIBRARY_TEXT_H

#include <stddef.h>

/* NULL when it is; else why not, as a constant ("is not UTF-8", "holds a NUL"). Any thread. */
const char *text_fault(const char *text, size_t length);

#endif
