/* decompress.h - gzip, zstd, xz and bzip2, or none of them, told by a file's first bytes and not by its name. No I/O; one thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_DECOMPRESS_H
#define TALLYMILL_PRODUCER_IMPORT_DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "common/error.h"

enum decompress_kind { DECOMPRESS_UNKNOWN, DECOMPRESS_PLAIN, DECOMPRESS_GZIP, DECOMPRESS_ZSTD, DECOMPRESS_XZ, DECOMPRESS_BZIP2 };

struct decompress {
    enum decompress_kind kind;
    bool is_inside; /* a gzip member, a zstd frame, ...: a file that ends here was cut */
    bool is_full;   /* the last call filled its room: there may be more without new bytes */
    const uint8_t *at;
    size_t left; /* bytes that were fed and not used yet, from `at` */
    z_stream gzip;
    ZSTD_DStream *zstd;
    lzma_stream xz;
    bz_stream bzip2;
};

/* What begins with these bytes; DECOMPRESS_UNKNOWN while more are needed to tell. */
enum decompress_kind decompress_look(const uint8_t *bytes, size_t length);

/* False: ERROR_RETRY, no memory. decompress_reset in either case. */
MUST_CHECK bool decompress_init(struct decompress *decompress, enum decompress_kind kind, struct error *err);
void decompress_reset(struct decompress *decompress);

/* The next bytes of the file, borrowed until decompress_run has used them up. Only when decompress_is_dry. */
void decompress_feed(struct decompress *decompress, const uint8_t *bytes, size_t length);
bool decompress_is_dry(const struct decompress *decompress);

/* Unpacks into the room; *got bytes were written. Several members and frames may follow each other. False: ERROR_REJECT, damaged.
 */
MUST_CHECK bool decompress_run(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err);

#endif
