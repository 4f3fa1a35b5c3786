/* channel_struct.h - what the parts of the channel share. Included by channel*.c only. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_CHANNEL_STRUCT_H
#define TALLYMILL_PRODUCER_LIBRARY_CHANNEL_STRUCT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "producer/library/channel_hooks.h"

/* What Kafka answers when it is asked about the topic. */
enum channel_finding { CHANNEL_UNKNOWN, CHANNEL_GOOD, CHANNEL_NO_BROKER, CHANNEL_NO_TOPIC, CHANNEL_NO_DESCRIBE, CHANNEL_NO_WRITE };

/* A message that came back and will be sent again. */
struct channel_held {
    struct channel_held *next;
    uint64_t tag;
    int64_t accepted_us;         /* monotonic: when librdkafka took it for the first time */
    rd_kafka_headers_t *headers; /* owned; NULL: none */
    size_t key_length, value_length;
    uint8_t bytes[]; /* key, value */
};

struct channel {
    rd_kafka_conf_t *conf; /* kept to make further handles of */
    char *topic, *servers;
    int64_t timeout_ms; /* of a message; 0: for ever */
    channel_delivered *delivered;
    channel_log *log;
    channel_token_asked *token_asked;
    void *context;

    pthread_rwlock_t lock; /* readers: whoever checks; writer: the serving thread, replacing */
    rd_kafka_t *handle;
    rd_kafka_topic_t *topic_handle;
    rd_kafka_t *dead;       /* a handle whose messages have not all come back yet: nothing new is sent meanwhile */
    bool is_closing;        /* nothing is sent again */
    atomic_bool is_leaving; /* the same for librdkafka's threads: no broker is looked up any more */
    bool has_good;          /* something was acknowledged in the poll under way */
    bool is_sick;           /* the handle is of no use any more, and will be replaced */
    int64_t replace_us, pause_us;
    atomic_uint replacements;
    int64_t batch_bytes, former_batch_bytes; /* librdkafka's batch.size, of the handle and of the dead one */
    int64_t limit_bytes;                     /* ... and of the next */
    bool makes_topics;                       /* kafka.allow.auto.create.topics */
    struct channel_held *held, **held_end;
    size_t held_count;
    rd_kafka_message_t batch[CHANNEL_BATCH];

    /* What is known (channel_look.c). */
    rd_kafka_queue_t *answers;         /* to what was asked through `handle` */
    bool is_down;                      /* no broker is connected, as librdkafka sees it */
    bool is_asked, is_limit_known;     /* an answer is on its way; the topic's max.message.bytes was told */
    int64_t asked_us, waiting_us;      /* monotonic: the last question; since when nothing has come back */
    atomic_int finding;                /* enum channel_finding */
    pthread_mutex_t trouble_lock;      /* guards the two texts */
    char trouble[256];                 /* the last thing librdkafka called an error */
    char reason[CHANNEL_REASON_BYTES]; /* what is wrong, or "" */
};

/* -- channel_look.c -- */

void channel_look_open(struct channel *channel);  /* for a new handle */
void channel_look_close(struct channel *channel); /* before it is replaced, or destroyed */
/* Asks when something seems wrong, and takes the answers. */
void channel_look(struct channel *channel, int64_t now_us);
/* A message was acknowledged, or came back for want of a right (`code`). */
void channel_look_good(struct channel *channel, int64_t now_us);
void channel_look_refused(struct channel *channel, rd_kafka_resp_err_t code);
void channel_look_log(struct channel *channel, const rd_kafka_t *handle, int level, const char *text);
bool channel_is_right_missing(rd_kafka_resp_err_t code);
/* Why a message was given up. */
const char *channel_look_error(struct channel *channel, rd_kafka_resp_err_t code, char text[2 * CHANNEL_REASON_BYTES]);

/* The topic takes batches of up to so many bytes. */
void channel_limit_batch(struct channel *channel, int64_t bytes);

#endif
