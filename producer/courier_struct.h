/* courier_struct.h - what the courier's thread and its callers share. Included by courier*.c only. */
#ifndef TALLYMILL_COURIER_STRUCT_H
#define TALLYMILL_COURIER_STRUCT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "channel.h"
#include "courier.h"
#include "ring.h"
#include "spool.h"

enum { COURIER_LINE = 64 /* of a cache */ };

struct courier {
    /* What publishers look at. It hardly ever changes, so it stays in every core's cache. */
    struct ring *ring;
    size_t message_bytes;
    int publish_timeout_ms;
    bool is_synced_each;
    atomic_bool is_dozing;
    atomic_bool is_refusing; /* the spool is full, or its disk */
    atomic_bool is_stopping, is_stopped;

    /* What only the courier's thread looks at, or changes for each event. */
    _Alignas(COURIER_LINE) struct channel *channel;
    struct spool *spool; /* NULL: none */
    struct tally_hooks hooks;
    atomic_uint_fast64_t acknowledged, failed, recovered, dropped, damaged;
    _Atomic uint64_t synced;  /* the ring's messages up to this position are on the disk */
    uint64_t appended;        /* ... in the spool */
    bool must_rewind;         /* something from the spool was refused and will be sent again */
    int64_t rewind_us;        /* not before */
    size_t pending_when_full; /* librdkafka took no more with so many; SIZE_MAX: it did */
    int64_t moved_us;         /* when a message last moved */
    bool has_told_trouble;

    /* For those who wait. */
    sem_t bell;
    pthread_mutex_t mutex;
    pthread_cond_t progress;
    atomic_uint waiters;
    pthread_t thread;
    bool is_started;

    struct event_message messages[CHANNEL_BATCH];
    uint64_t tags[CHANNEL_BATCH]; /* of the spool's messages: sequence + 1 */
};

#endif
