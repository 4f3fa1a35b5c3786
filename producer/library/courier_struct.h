/* courier_struct.h - what the courier's thread and its callers share. Included by courier*.c only. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_COURIER_STRUCT_H
#define TALLYMILL_PRODUCER_LIBRARY_COURIER_STRUCT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "producer/library/channel.h"
#include "producer/library/reports.h"
#include "producer/library/ring.h"
#include "producer/library/spool.h"

enum { COURIER_LINE = 64 /* of a cache */ };

struct courier {
    /* What publishers look at. It hardly ever changes, so it stays in every core's cache. */
    struct ring *ring;
    size_t message_bytes;
    int publish_timeout_ms;
    bool has_spool, is_synced_each;
    atomic_bool is_dozing;
    atomic_bool is_refusing; /* the spool did not take what is in the ring */
    atomic_int refusal;      /* why nothing more is granted: spool_refusal */
    atomic_bool is_stopping, is_stopped;
    atomic_bool is_mute; /* exit() has begun: no hook is called */
    bool is_left;        /* and came from a hook of its own */

    /* What only the courier's thread looks at, or changes for each event. */
    _Alignas(COURIER_LINE) struct channel *channel;
    struct spool *spool; /* NULL: none */
    struct tally_hooks hooks;
    struct tally_producer *producer; /* for hooks.token */
    struct reports *reports;         /* what waits for tally_poll; NULL: hooks are called at once */
    atomic_uint_fast64_t acknowledged, failed, recovered, dropped, damaged;
    _Atomic uint64_t synced;  /* the ring's messages up to this position are on the disk */
    uint64_t appended;        /* ... in the spool */
    bool must_rewind;         /* something from the spool was refused and will be sent again */
    int64_t rewind_us;        /* not before */
    size_t pending_when_full; /* librdkafka took no more with so many; SIZE_MAX: it did */
    int64_t rewind_pause_us;
    int64_t moved_us; /* when a message last moved */
    int64_t told_trouble_us;
    char last_words[2 * CHANNEL_REASON_BYTES]; /* why the rest is given up at the end */
    struct direct {
        struct event_message messages[CHANNEL_BATCH];
        enum direct_state { DIRECT_SENT, DIRECT_DONE, DIRECT_AGAIN } states[CHANNEL_BATCH];
        size_t count, out; /* at the ring's front; of them, not come back yet */
        uint64_t turn;     /* of the batches */
        int64_t sent_us;
        uint64_t tags[CHANNEL_BATCH];
    } direct; /* past a spool that takes nothing: courier_direct.c */

    /* For those who wait. */
    sem_t bell;
    pthread_mutex_t mutex;
    pthread_cond_t progress;
    atomic_uint waiters;
    pthread_t thread;
    bool is_started;

    struct courier *next; /* of those that exit() looks after */

    struct event_message messages[CHANNEL_BATCH];
    uint64_t tags[CHANNEL_BATCH]; /* of the spool's messages: sequence + 1 */
    uint64_t *own_tags;           /* the callers', of messages between spool and Kafka, by sequence; NULL until there is one */
};

/* -- courier_direct.c -- */

enum { COURIER_DIRECT_TAG_BITS = 10 };
#define COURIER_DIRECT_TAG (UINT64_C(1) << 55)

/* Carries what is in the ring straight to Kafka. True: the ring's front is in use, and nothing else takes from it. */
bool courier_direct_carry(struct courier *courier, int64_t now_us);
/* A message with that tag came back. False: its fate is none of ours any more. */
bool courier_direct_done(struct courier *courier, uint64_t tag, bool is_final);
/* The caller's tag of that message. */
uint64_t courier_direct_own_tag(const struct courier *courier, uint64_t tag);
/* How much may be put into the ring while the spool takes nothing. */
size_t courier_direct_room(const struct courier *courier, int64_t now_us);
/* At the end: the spool takes what it can; the rest is given up by the channel when that is closed, or then by us. */
void courier_direct_end(struct courier *courier);
void courier_direct_give_up(struct courier *courier);

/* -- courier.c -- */

void courier_give_up(struct courier *courier, const struct event_message *message);

/* -- courier_report.c -- */

/* The fate of an event, told and counted, now or when it is polled. */
void courier_tell_fate(struct courier *courier, const struct tally_delivery *delivery);
/* The same of one that is counted already. */
void courier_tell_dropped(struct courier *courier, const struct tally_delivery *delivery);
void courier_log(void *context, int level, const char *text);
void courier_ask_token(void *context, const char *config);
/* As many reports wait as may: nothing is done that makes more. */
bool courier_must_hold(const struct courier *courier);
/* At the end, in the thread that stops it. */
void courier_poll_all(struct courier *courier);

/* -- courier_exit.c -- */

/* exit() without tally_close stops the producer, as tally_stop does. To be forgotten before it is stopped otherwise. */
void courier_exit_watch(struct courier *courier);
void courier_exit_forget(struct courier *courier);

#endif
