/* unpack.h - gzip, zstd, xz and bzip2, or none of them, told by a file's first bytes and not by its name. No I/O; one thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_UNPACK_H
#define TALLYMILL_PRODUCER_IMPORT_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

struct error;

enum unpack_kind { UNPACK_UNKNOWN, UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD, UNPACK_XZ, UNPACK_BZIP2 };

struct unpack {
    enum unpack_kind kind;
    bool is_inside; /* a gzip member, a zstd frame, ...: a file that ends here was cut */
    bool is_full;   /* the last call filled its room: there may be more without new bytes */
    const uint8_t *at;
    size_t left; /* bytes that were fed and not used yet, from `at` */
    z_stream gzip;
    ZSTD_DStream *zstd;
    lzma_stream xz;
    bz_stream bzip2;
};

/* What begins with these bytes; UNPACK_UNKNOWN while more are needed to tell. */
enum unpack_kind unpack_look(const uint8_t *bytes, size_t length);

/* False: ERROR_RETRY, no memory. unpack_reset in either case. */
bool unpack_init(struct unpack *unpack, enum unpack_kind kind, struct error *err);
void unpack_reset(struct unpack *unpack);

/* The next bytes of the file, borrowed until unpack_run has used them up. Only when unpack_is_dry. */
void unpack_feed(struct unpack *unpack, const uint8_t *bytes, size_t length);
bool unpack_is_dry(const struct unpack *unpack);

/* Unpacks into the room; *got bytes were written. Several members and frames may follow each other. False: ERROR_REJECT, damaged.
 */
bool unpack_run(struct unpack *unpack, void *room, size_t length, size_t *got, struct error *err);

#endif
