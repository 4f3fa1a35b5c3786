/* source_error.c - what a message of librdkafka that is an error means for the source: the end of a topic partition, another topic
 * by its name, data that cannot be read (its topic partition stops, so that nothing is passed over), or the end of this member.
 * What is none of these is source_refusal.c's.
 */
#include "consumer/source.h"

#include <inttypes.h>

#include "common/error.h"
#include "common/log.h"
#include "consumer/source_refusal.h"

/* KIP-516: the topic was made anew. librdkafka 2.6.1 to 2.8 (Debian 13) have no name for this code, and hand it on as it is. */
enum { INCONSISTENT_TOPIC_ID = 103 };

#define GO_ON "tallymill reset --at TOPIC_PARTITION:OFFSET goes on behind it"

/* What nobody can read stops its topic partition: its offsets must never pass for skipped. Its first offset is known, where it ends
 * is not. */
static void stop_at(struct source *source, struct source_topic_partition *topic_partition, const rd_kafka_message_t *message,
                    const char *because, const char *what)
{
    char text[LOG_TEXT_BYTES];
    if (topic_partition)
        source_stop(source, topic_partition, because);
    log_error(what, "topic=%s topic_partition=%d offset=%" PRId64 " error=\"%s\"", source_topic(source), (int)message->partition,
              message->offset, log_text(text, rd_kafka_message_errstr(message)));
}

/* librdkafka would go on behind it. */
static void stop_at_corrupt(struct source *source, struct source_topic_partition *topic_partition,
                            const rd_kafka_message_t *message)
{
    stop_at(source, topic_partition, message, "its data in Kafka is corrupt; the log of the worker has the place, " GO_ON,
            "corrupt data in Kafka: this topic partition stops here. Make another replica the leader where one is sound; " GO_ON);
}

/* librdkafka would fetch the same batch for ever. */
static void stop_at_packed(struct source *source, struct source_topic_partition *topic_partition, const rd_kafka_message_t *message)
{
    stop_at(source, topic_partition, message, "a batch in Kafka cannot be unpacked; the log of the worker has the place, " GO_ON,
            "a batch in Kafka cannot be unpacked: this topic partition stops here. Read it with another client to see what it "
            "is; " GO_ON);
}

enum source_event source_error_take(struct source *source, const rd_kafka_message_t *message,
                                    struct source_topic_partition *topic_partition, int64_t *end_offset, struct error *err)
{
    switch ((int)message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        *end_offset = message->offset;
        if (topic_partition)
            topic_partition->end_offset = message->offset;
        return topic_partition && source_is_read(topic_partition) ? SOURCE_END : SOURCE_NOTHING;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
    case INCONSISTENT_TOPIC_ID:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        log_warn("the topic, or a topic partition, is not there any more: looking which topic this is",
                 "topic=%s topic_partition=%d code=%s", source_topic(source), (int)message->partition,
                 rd_kafka_err2name(message->err));
        return SOURCE_RESYNC;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: return SOURCE_RESYNC;
    case RD_KAFKA_RESP_ERR__BAD_MSG: stop_at_corrupt(source, topic_partition, message); return SOURCE_NOTHING;
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED: /* a codec that this librdkafka was built without */
        stop_at_packed(source, topic_partition, message);
        return SOURCE_NOTHING;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        error_set(err, ERROR_FATAL, "another member named like this one (consumer.instance) has taken its place: %s",
                  rd_kafka_message_errstr(message));
        return SOURCE_FATAL;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED: return SOURCE_NOTHING; /* a rebalance follows */
    default: source_refusal_polled(source_refusals(source), message); return SOURCE_NOTHING;
    }
}
