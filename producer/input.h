/* input.h - the lines of a file or of stdin, plain or gzip, with memory bounded whatever a line holds. One thread. */
#ifndef TALLYMILL_INPUT_H
#define TALLYMILL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct input;

enum { INPUT_LINE_BYTES = 4 * 1024 * 1024 };

enum input_answer {
    INPUT_LINE,
    INPUT_LONG, /* a line of more than INPUT_LINE_BYTES; it was skipped */
    INPUT_END,
    INPUT_STOPPED, /* a signal asked for a stop while we waited for data */
    INPUT_FAILED,  /* err: the file cannot be read on */
};

/* "-" is stdin. NULL: *err (ERROR_USAGE when the file is not there). */
struct input *input_open(const char *path, struct error *err);
void input_close(struct input *input);

/* The next line without its LF or CR LF (and the first without a byte order mark), NUL-terminated; valid until the next call. */
enum input_answer input_next(struct input *input, const char **line, size_t *length, struct error *err);

const char *input_name(const struct input *input); /* the path, or "stdin" */
uint64_t input_line(const struct input *input);    /* the number of the last line, from 1 */
int64_t input_bytes(const struct input *input);    /* read so far, as they lie in the file */

/* The size of a file, or -1 where it has none (stdin, a pipe). */
int64_t input_size(const char *path);

#endif
