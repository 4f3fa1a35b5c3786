/* textfile.h - the bytes of a file or of stdin as they are read: decompressed, and where they are UTF-16 as UTF-8.
 *
 * Memory: 96 KiB and what decompress.h needs. One thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_TEXTFILE_H
#define TALLYMILL_PRODUCER_IMPORT_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct textfile;

enum textfile_answer {
    TEXTFILE_BYTES, /* perhaps none yet: ask again */
    TEXTFILE_IDLE,  /* nothing new for a moment in a file that is followed */
    TEXTFILE_END,
    TEXTFILE_STOPPED, /* a signal asked for a stop while we waited */
    TEXTFILE_FAILED,  /* err */
};

/* "-" is stdin. is_followed: its end is not the end. is_binary: never UTF-16. NULL: *err (ERROR_USAGE when the file is not there).
 */
MUST_CHECK struct textfile *textfile_open(const char *path, bool is_followed, bool is_binary, struct error *err);
void textfile_close(struct textfile *textfile);

/* Up to `length` bytes into room, which takes TEXTFILE_ROOM at least. */
enum { TEXTFILE_ROOM = 4096 };
MUST_CHECK enum textfile_answer textfile_read(struct textfile *textfile, char *room, size_t length, size_t *got, struct error *err);

const char *textfile_name(const struct textfile *textfile); /* the path, or "stdin" */
int64_t textfile_bytes(const struct textfile *textfile);    /* read so far, as they lie in the file */
/* Another file has taken the followed one's name; what it held was read to its end. */
bool textfile_is_replaced(const struct textfile *textfile);

#endif
