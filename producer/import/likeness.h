/* likeness.h - what a file looks like that is not read as it was taken, by its first lines, and in one line what reads it. No I/O;
 * any thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_LIKENESS_H
#define TALLYMILL_PRODUCER_IMPORT_LIKENESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "producer/import/record.h"

enum likeness_answer {
    LIKENESS_NONE, /* it may well be what it was taken for */
    LIKENESS_MORE, /* bytes are needed to tell: two lines more at most, three of CSV */
    LIKENESS_OTHER /* ERROR_USAGE: it is something else, and how that is read */
};

struct likeness {
    char delimiter; /* of CSV, where nobody has said it: what the first lines agree on */
    bool is_read;   /* OTHER: format and other_delimiter would read it */
    enum record_format format;
    char other_delimiter; /* 0: a comma */
};

/* format, delimiter: what it was taken for (0: not said). is_all: no more bytes will come. */
MUST_CHECK enum likeness_answer likeness_look(enum record_format format, char delimiter, const char *bytes, size_t length,
                                              bool is_all, struct likeness *likeness, struct error *err);

#endif
