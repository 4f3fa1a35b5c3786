/* dead_letter.c - see dead_letter.h. Key and value go in as they came: a dead letter is kept to be replayed, byte for byte. */
#include "dead_letter.h"

#include <string.h>

#include "batch.h"
#include "clock.h"
#include "tuple.h"

size_t dead_letter_room(const struct batch_dead *dead, const char *topic)
{
    return 256 + strlen(topic) + DEAD_DETAIL_BYTES + dead->message->key_len + dead->message->len;
}

size_t dead_letter_encode(uint8_t *out, const struct batch_dead *dead, const char *topic, int64_t batch_id)
{
    const rd_kafka_message_t *message = dead->message;
    const char *reason = reason_name(dead->reason);
    rd_kafka_timestamp_type_t kind;
    const int64_t message_ms = rd_kafka_message_timestamp(message, &kind);
    uint8_t *end = put_16(out, 9);
    end = put_64(put_32(end, 8), (uint64_t)batch_id);
    end = put_column(end, topic, (uint32_t)strlen(topic));
    end = put_32(put_32(end, 4), (uint32_t)message->partition);
    end = put_64(put_32(end, 8), (uint64_t)message->offset);
    end = put_column(end, reason, (uint32_t)strlen(reason));
    end = put_column(end, dead->detail, (uint32_t)strlen(dead->detail));
    end = put_column(end, message->key, (uint32_t)message->key_len);
    end = put_column(end, message->payload, (uint32_t)message->len);
    /* A clock gone wild: beyond what a timestamptz can hold is kept as unknown. */
    if (message_ms < 0 || message_ms > INT64_C(253402300799999))
        end = put_32(end, UINT32_MAX);
    else
        end = put_64(put_32(end, 8), (uint64_t)(message_ms * 1000 - CLOCK_POSTGRES_EPOCH_US));
    return (size_t)(end - out);
}
