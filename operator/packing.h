/* packing.h - compresses rows into a block of memory, a whole zstd frame or gzip member, and unpacks one again in pieces. One
 * thread. */
#ifndef TALLYMILL_OPERATOR_PACKING_H
#define TALLYMILL_OPERATOR_PACKING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct packing;

enum packing_kind { PACKING_ZSTD, PACKING_GZIP };

/* "zst", "gz". */
const char *packing_suffix(enum packing_kind kind);

/* Level 6 of both. NULL: ERROR_RETRY, no memory. */
MUST_CHECK struct packing *packing_new(enum packing_kind kind, struct error *err);
void packing_free(struct packing *packing);

MUST_CHECK bool packing_add(struct packing *packing, const char *bytes, size_t length, struct error *err);

/* How many packed bytes there are so far; a little comes at the end. */
size_t packing_size(const struct packing *packing);

/* Ends the block: its bytes, valid until the next call of another function with this packing, which begins a new one. */
MUST_CHECK bool packing_end(struct packing *packing, const char **bytes, size_t *length, struct error *err);

/* Unpacks a whole block and hands it over piece by piece. ERROR_REJECT: it is damaged, cut, or something stands behind it. `take`
 * returns false with err set to stop. */
MUST_CHECK bool packing_unpack(enum packing_kind kind, const char *bytes, size_t length,
                               bool (*take)(void *context, const char *piece, size_t length, struct error *err), void *context,
                               struct error *err);

#endif
