/* export_file.h - where an export is written: stdout, or a file that is whole or not there; packed on the way or not. One thread.
 *
 * A regular file is written beside its place, as NAME.part, and takes its name once all of it is on the disk. What is none (a pipe,
 * /dev/stdout) is written as it stands.
 */
#ifndef TALLYMILL_OPERATOR_EXPORT_FILE_H
#define TALLYMILL_OPERATOR_EXPORT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct export_file;

enum export_packing { EXPORT_PLAIN, EXPORT_GZIP, EXPORT_ZSTD };
extern const char *const export_packing_names[];   /* "none", "gzip", "zstd"; ended by NULL */
extern const char *const export_packing_endings[]; /* "", ".gz", ".zst" */

enum { EXPORT_HASH_BYTES = 33 };

/* path NULL: stdout. NULL: ERROR_RETRY (it cannot be opened, no memory). */
MUST_CHECK struct export_file *export_file_open(const char *path, enum export_packing packing, struct error *err);

MUST_CHECK bool export_file_write(struct export_file *file, const char *bytes, size_t length, struct error *err);

/* Writes out what is left, and gives the file its name. *bytes: as they lie on the disk; hash: of these (XXH3, 128 bits, as hex).
 * Both may be NULL. Frees the file, after a failure too. */
MUST_CHECK bool export_file_end(struct export_file *file, int64_t *bytes, char hash[EXPORT_HASH_BYTES], struct error *err);

/* Gives up what was not ended: the file of that name, if there is one, stays as it was. NULL is allowed. */
void export_file_drop(struct export_file *file);

/* The hash of a file that is there, and its size. False: it cannot be read (no error is set). */
bool export_file_hash(const char *path, int64_t *bytes, char hash[EXPORT_HASH_BYTES]);

/* Writes a small file whole, or not at all. */
MUST_CHECK bool export_file_save(const char *path, const char *text, size_t length, struct error *err);

#endif
