/* input.h - the records of a file or of stdin, plain, gzip or zstd, with memory bounded whatever they hold. One thread. */
#ifndef TALLYMILL_INPUT_H
#define TALLYMILL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct error;
struct input;

enum { INPUT_RECORD_BYTES = 4 * 1024 * 1024 };

enum input_answer {
    INPUT_RECORD,
    INPUT_BAD,  /* err (ERROR_REJECT): a record that cannot be given out, and was passed over; the text of it may be there, or NULL
                 */
    INPUT_IDLE, /* nothing new for a moment in a file that is followed */
    INPUT_END,
    INPUT_STOPPED, /* a signal asked for a stop while we waited for data */
    INPUT_FAILED,  /* err: the file cannot be read on */
};

struct input_kind {
    enum record_format format;
    char delimiter;   /* of CSV */
    bool is_followed; /* its end is not the end: more will be written to it */
};

/* "-" is stdin. NULL: *err (ERROR_USAGE when the file is not there). */
struct input *input_open(const char *path, const struct input_kind *kind, struct error *err);
void input_close(struct input *input);

/* The next record; a line without its LF or CR LF (and the first without a byte order mark) and NUL-terminated; valid until the
 * next call. */
enum input_answer input_next(struct input *input, const char **record, size_t *length, struct error *err);

const char *input_name(const struct input *input); /* the path, or "stdin" */
uint64_t input_line(const struct input *input);    /* where the last record began, from 1; of msgpack: its number */
int64_t input_bytes(const struct input *input);    /* read so far, as they lie in the file */

/* The size of a file, or -1 where it has none (stdin, a pipe). */
int64_t input_size(const char *path);

#endif
