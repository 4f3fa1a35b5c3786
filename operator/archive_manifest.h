/* archive_manifest.h - manifest.json: what an archived month consists of, written last, so that a generation without one is
 * nothing. One thread. */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_MANIFEST_H
#define TALLYMILL_OPERATOR_ARCHIVE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/clock.h"
#include "common/error.h"
#include "operator/packing.h"
#include "operator/row_hash.h"

struct archive_store;

#define ARCHIVE_MANIFEST "manifest.json" /* the name of its key */

enum { ARCHIVE_FORMAT = 1, ARCHIVE_KEY_BYTES = 96, ARCHIVE_SHA256_BYTES = 65 };

/* "analytics_events/2025-01/0001/NAME" */
void archive_key(char key[ARCHIVE_KEY_BYTES], const char *month, int generation, const char *name);

/* SHA-256 in hexadecimal digits. */
void archive_sha256(char text[ARCHIVE_SHA256_BYTES], const char *bytes, size_t length);

/* One part, as the manifest names it. */
struct archive_part {
    char name[40];
    int64_t rows, bytes;
    char sha256[ARCHIVE_SHA256_BYTES];
};

struct archive_manifest {
    json_t *json; /* the whole of it */
    char month[8];
    int generation;
    enum packing_kind packing;
    int64_t rows, foreign_rows, bytes; /* bytes: of all parts */
    char row_hash[ROW_HASH_BYTES];
    struct archive_part *parts;
    int part_count;
    char sha256[ARCHIVE_SHA256_BYTES]; /* of the file */
};

/* The text of its file, and `sha256`. To be freed; NULL: ERROR_RETRY, no memory. */
MUST_CHECK char *archive_manifest_text(struct archive_manifest *manifest, struct error *err);

/* Writes it to the store. */
MUST_CHECK bool archive_manifest_put(const struct archive_manifest *manifest, const char *text, struct archive_store *store,
                                     struct error *err);

/* Reads one and checks that it is what it says: format, month, generation, and sums that agree. *is_there false: there is none.
 * ERROR_REJECT: it is wrong; its sha256 is set nevertheless. archive_manifest_reset() in any case. */
MUST_CHECK bool archive_manifest_get(struct archive_manifest *manifest, struct archive_store *store, const char *month,
                                     int generation, bool *is_there, struct error *err);

void archive_manifest_reset(struct archive_manifest *manifest);

/* Its figures as the parameters of a statement. */
struct archive_figures {
    char month[CLOCK_DAY_BYTES]; /* its first day */
    char generation[16], rows[24], foreign_rows[24], bytes[24], parts[16];
};
void archive_manifest_figures(const struct archive_manifest *manifest, struct archive_figures *figures);

/* Whether the table (archive_columns.sql) has every column of it, with its type and collation. *has_more: and others. */
bool archive_manifest_fits(const struct archive_manifest *manifest, const PGresult *columns, bool *has_more);

/* The names of the columns as SQL: "id", "event_name", ... To be freed; NULL without memory. */
char *archive_manifest_columns(const struct archive_manifest *manifest);

#endif
