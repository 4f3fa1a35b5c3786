/* field.h - the values of an event's top-level keys, each by its rule (schemas/wire.md). What was written means nothing unless
 * REASON_NONE comes back. Any thread.
 */
#ifndef TALLYMILL_COMMON_FIELD_H
#define TALLYMILL_COMMON_FIELD_H

#include <stdint.h>

#include "common/msgpack.h"
#include "common/reason.h"

/* A text that is only pointed at. */
struct text {
    const uint8_t *bytes; /* NULL: absent */
    uint32_t length;
};

/* TYPE, LEN (1 to `most` bytes), UTF8 or NUL. The text stays inside the message. */
enum reason field_text(const struct msgpack_item *item, uint32_t most, struct text *text);

/* UUID_BYTES of them, from bin 16 or from the text form; TYPE or ID. */
enum reason field_id(const struct msgpack_item *item, uint8_t *out);

/* Microseconds since the Unix epoch; TYPE, EXT or TS_RANGE. */
enum reason field_time(const struct msgpack_item *item, int64_t *created_at_us);

/* TYPE or VERSION. */
enum reason field_version(const struct msgpack_item *item);

/* One byte, 0 or 1; TYPE. */
enum reason field_bool(const struct msgpack_item *item, uint8_t *out);

#endif
