/* batch_row.h - a row of a batch: where its tuple and its message lie, and whose it is. Shared by batch and batch_seen. */
#ifndef TALLYMILL_CONSUMER_BATCH_ROW_H
#define TALLYMILL_CONSUMER_BATCH_ROW_H

#include <stdint.h>

struct batch_row {
    uint32_t start, length; /* of its tuple, in bytes from the batch's `bytes`; length 0: it has left, until batch_compact */
    uint32_t kept;          /* where its message lies, in bytes from the batch's kept */
    uint32_t range : 31;    /* index into ranges */
    uint32_t is_clamped : 1;
    int32_t day; /* UTC, since 1970-01-01 */
};

#endif
