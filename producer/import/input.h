/* input.h - the records of a file or of stdin, packed or not, with memory bounded whatever they hold. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_INPUT_H
#define TALLYMILL_PRODUCER_IMPORT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/import/record.h"

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
    char delimiter;   /* of CSV; 0: what a line sep= says, or the first lines agree on, else a comma */
    bool is_followed; /* its end is not the end: more will be written to it */
};

/* "-" is stdin. NULL: *err (ERROR_USAGE when the file is not there). */
MUST_CHECK struct input *input_open(const char *path, const struct input_kind *kind, struct error *err);
void input_close(struct input *input);

/* The next record; a line without its end (and the first without a byte order mark), a value of a stream without what stands before
 * it; valid until the next call. */
MUST_CHECK enum input_answer input_next(struct input *input, const char **record, size_t *length, struct error *err);

const char *input_name(const struct input *input); /* the path, or "stdin" */
uint64_t
input_line(const struct input *input); /* where the last record began, from 1; of msgpack and streams of JSON: its number */
/* Known with the first record: what stands between the fields of CSV; the form (form.h), as a word, or NULL while it is not known.
 */
char input_delimiter(const struct input *input);
const char *input_form(const struct input *input);
/* It was refused for what it looks like, and that is read: how. False: no. */
bool input_likeness(const struct input *input, enum record_format *format, char *delimiter);

int64_t input_bytes(const struct input *input); /* read so far, as they lie in the file */

/* The size of a file, or -1 where it has none (stdin, a pipe). */
int64_t input_size(const char *path);

#endif
