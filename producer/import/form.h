/* form.h - how the records of a file are told apart, by its beginning: what a line ends with, what CSV has between its fields,
 * whether JSON is one object a line or a stream of them. And the formats that are none of ours, with the command that makes them
 * one. No I/O. */
#ifndef TALLYMILL_PRODUCER_IMPORT_FORM_H
#define TALLYMILL_PRODUCER_IMPORT_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "producer/import/likeness.h"
#include "producer/import/record.h"

struct form {
    char line_end;  /* '\n' (CR LF too) or '\r' */
    char delimiter; /* of CSV */
    bool
        is_stream; /* JSON values one behind the other, in arrays or not, whatever their lines; each may begin with RS (RFC 7464) */
    size_t skip;   /* bytes at the beginning that belong to no record: a line such as sep=; */
    struct likeness likeness; /* FOREIGN: what would read it */
};

enum form_answer { FORM_KNOWN, FORM_MORE /* bytes are needed to tell */, FORM_FOREIGN /* ERROR_USAGE */ };

/* delimiter: as the user said it; 0: not at all. is_all: no more bytes will come. */
MUST_CHECK enum form_answer form_look(enum record_format format, char delimiter, const char *bytes, size_t length, bool is_all,
                                      struct form *form, struct error *err);

/* As one word, for the resume file: the same word, the same records. */
const char *form_name(const struct form *form, enum record_format format);

#endif
