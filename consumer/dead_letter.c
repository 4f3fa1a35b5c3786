/* dead_letter.c - see dead_letter.h. Key and value go in as they came: a dead letter is kept to be replayed, byte for byte. One of
 * 300 MiB, which a few KB of a compressed batch may become, could not be sent again, and would be hundreds of megabytes here, in
 * libpq and in the server: it keeps its place. */
#include "consumer/dead_letter.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/tuple.h"
#include "common/wire.h"
#include "consumer/batch.h"

enum { COLUMNS = 10, FIXED_BYTES = 256 /* numbers, lengths and a reason's name, with room to spare */ };
#define LAST_MESSAGE_MS INT64_C(253402300799999) /* 9999-12-31 */

static bool is_kept(const struct batch_dead *dead)
{
    return dead->original.key_length + dead->original.value_length <= WIRE_KEPT_BYTES;
}

/* Bytes that encode() may write. */
static size_t room_for(const struct batch_dead *dead, const char *topic)
{
    return FIXED_BYTES + strlen(topic) + DEAD_DETAIL_BYTES +
           (is_kept(dead) ? dead->original.key_length + dead->original.value_length : 0);
}

static uint8_t *put_moment(uint8_t *end, int64_t unix_us)
{
    return put_64(put_32(end, 8), (uint64_t)(unix_us - CLOCK_POSTGRES_EPOCH_US));
}

/* Returns the bytes written. now_us: Unix time. */
static size_t encode(uint8_t *out, const struct batch_dead *dead, const char *topic, int64_t batch_id, int64_t now_us)
{
    const struct original *original = &dead->original;
    const char *reason = reason_name(dead->reason);
    uint8_t *end = put_16(out, COLUMNS);
    end = put_64(put_32(end, 8), (uint64_t)batch_id);
    end = put_column(end, topic, (uint32_t)strlen(topic));
    end = put_32(put_32(end, 4), (uint32_t)original->topic_partition);
    end = put_64(put_32(end, 8), (uint64_t)original->offset);
    end = put_column(end, reason, (uint32_t)strlen(reason));
    end = put_column(end, dead->detail, (uint32_t)strlen(dead->detail));
    end = put_column(end, is_kept(dead) ? original->key : NULL, (uint32_t)original->key_length);
    end = put_column(end, is_kept(dead) ? original->value : NULL, (uint32_t)original->value_length);
    /* A clock gone wild: beyond what a timestamptz can hold is kept as unknown. */
    if (original->message_ms < 0 || original->message_ms > LAST_MESSAGE_MS)
        end = put_32(end, UINT32_MAX);
    else
        end = put_moment(end, original->message_ms * 1000);
    end = is_kept(dead) ? put_32(end, UINT32_MAX) : put_moment(end, now_us);
    return (size_t)(end - out);
}

bool dead_letter_send(struct dead_letter_buffer *buffer, PGconn *conn, const struct batch_dead *dead, const char *topic,
                      int64_t batch_id)
{
    const size_t room = room_for(dead, topic);
    if (room > buffer->capacity) {
        uint8_t *bytes = realloc(buffer->bytes, room);
        if (!bytes)
            return false;
        *buffer = (struct dead_letter_buffer){bytes, room};
    }
    const size_t length = encode(buffer->bytes, dead, topic, batch_id, clock_wall_us());
    return PQputCopyData(conn, (const char *)buffer->bytes, (int)length) == 1;
}
