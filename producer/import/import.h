/* import.h - records of files and stdin into events: NDJSON, CSV or msgpack, mapped by columns.h; bad ones are rejected and the
 * rest goes on. */
#ifndef TALLYMILL_PRODUCER_IMPORT_IMPORT_H
#define TALLYMILL_PRODUCER_IMPORT_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/import/reader.h"

struct columns;
struct sink;
struct rejects;
struct resume;

struct import_plan {
    const char *program; /* its name, for messages */
    char **paths;        /* "-" is stdin */
    int path_count;
    struct reader_kind kind;
    bool is_followed; /* the last file grows: go on until a signal comes */
    struct columns *columns;
    struct resume *resume; /* NULL: not resumable */
};

/* The bytes of all files together, for the progress bar; 0 where one has no size. */
long long import_size(char **paths, int count);

/* Sends every record of the files in order. False: *err says why it stopped before the end. A signal is the end of a followed file.
 */
MUST_CHECK bool import_files(const struct import_plan *plan, const struct sink *sink, struct rejects *rejects, struct error *err);

#endif
