/* source.h - the worker's side of Kafka: a member of the consumer group that reads exactly from where it is told.
 *
 * Assignments are not acted upon inside librdkafka's callback: the callback only notes them, and the worker answers when no batch
 * is under way (source_assign, source_unassign). Eager assignor; positions are given in assign(); nothing is committed to decide
 * anything. Main thread; librdkafka's own threads never call into this.
 */
#ifndef TALLYMILL_CONSUMER_SOURCE_H
#define TALLYMILL_CONSUMER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "consumer/ledger.h"

struct settings;
struct source;
struct source_refusals;
struct source_statistics;

enum { SOURCE_ANCHORS = 5 };

/* One topic partition that is ours to read. */
struct source_topic_partition {
    struct claim claim;
    int64_t expected_offset;               /* the next offset that may be delivered */
    struct anchor anchors[SOURCE_ANCHORS]; /* to be met before anything is stored, in order of offsets; the last is the claim's */
    int anchor_count, anchors_met;         /* of these, met or given up so far: the next message must be anchors[anchors_met] */
    bool has_matched;                      /* one of them stood where it should */
    bool is_waiting;                       /* not read yet: without a leader, or its log's ends are not known yet */
    bool is_stopped;                       /* truncated, recreated or corrupt: a person must look */
    const char *stopped_because;           /* and what to do, in a sentence: a constant; NULL unless is_stopped */
    int64_t end_offset;                    /* the end of what can be read, where it was met; -1: not met yet */
    int64_t
        blocked_since_us;    /* Unix time since which an open transaction keeps what lies behind it from being read; 0: none does */
    int64_t blocked_offset;  /* where */
    int64_t blocked_told_us; /* when that was last logged */
    int64_t stored_time_us;  /* Unix time that Kafka gave the last event stored, as far as it was noted; for the metrics */
    int64_t caught_up_us;    /* Unix time at which nothing was left to store; for the metrics */
};

enum source_event {
    SOURCE_NOTHING, /* queue is dry for now */
    SOURCE_MESSAGE, /* *message is the caller's */
    SOURCE_END,     /* end of a topic partition: offsets below *end_offset are all read; *topic_partition says which */
    SOURCE_ASSIGN,  /* source_wanted() has a new assignment: claim, then source_assign() */
    SOURCE_REVOKE,  /* source_unassign() as soon as no batch is under way */
    SOURCE_RESYNC,  /* offset out of range, an unknown topic: claim again and assign anew */
    SOURCE_FATAL,   /* err is set: ends the worker */
};

/* Joins the group. ERROR_USAGE: settings, missing topic. */
MUST_CHECK struct source *source_open(const struct settings *settings, struct error *err);

/* A second handle of these settings beside the one in use, for source_renew(): it is in no group, and belongs to the caller until
 * then. ERROR_USAGE. */
MUST_CHECK rd_kafka_t *source_make_handle(struct source *source, const struct settings *settings, struct error *err);

/* Leaves the group by the handle in use, as source_close() does, and joins it by this one. Nothing is assigned then. All messages
 * and queues of the handle before must be gone. False: joining failed, which source_rejoin() may try again. */
MUST_CHECK bool source_renew(struct source *source, rd_kafka_t *handle, struct error *err);

/* Whether our login may read the topic and use the group, as the brokers tell it; what they do not tell in time is taken for yes.
 * Joins nothing. ERROR_USAGE. */
MUST_CHECK bool source_may_read(rd_kafka_t *handle, const struct settings *settings, struct error *err);

/* Leaves the group, for at most 2.5 s; what librdkafka has not given up by then is left to the end of the process. With `leave`
 * also gives a static member's share up at once. */
void source_close(struct source *source, bool leave);

const char *source_topic(const struct source *source);
int source_fd(const struct source *source); /* readable when source_poll has something */

/* The next event, without waiting. Fills what belongs to it; err for SOURCE_FATAL. */
MUST_CHECK enum source_event source_poll(struct source *source, rd_kafka_message_t **message,
                                         struct source_topic_partition **topic_partition, int64_t *end_offset, struct error *err);

/* Forgets pending wakeups; call before draining with source_poll. */
void source_clear_wakeup(struct source *source);

/* The topic partitions of the assignment that waits for an answer, as claims with only topic_partition set, sorted. */
const struct claim *source_wanted(const struct source *source, int *count);

/* The topic partitions read now. */
struct source_topic_partition *source_topic_partitions(struct source *source, int *count);
struct source_topic_partition *source_find(struct source *source, int32_t topic_partition);

/* The high watermark that came with the last fetch, or -1: nothing is asked. */
int64_t source_last_high(const struct source *source, int32_t topic_partition);

/* What librdkafka last told of itself; is_known is false where metrics are not shown. */
const struct source_statistics *source_statistics(const struct source *source);

/* What Kafka has refused this member, as part of the source (source_refusal.h). */
struct source_refusals *source_refusals(struct source *source);

/* Whether every broker was lost since the last call. */
bool source_take_lost(struct source *source);

/* Whether Kafka has ended this static member because its name is known under another member id. */
bool source_was_fenced(const struct source *source);

rd_kafka_t *source_handle(const struct source *source);

/* Answers SOURCE_ASSIGN (or starts over): reads these from the next anchor to be met, else from their expected_offset. Those that
 * are stopped or wait are not read. */
MUST_CHECK bool source_assign(struct source *source, const struct source_topic_partition *topic_partitions, int count,
                              struct error *err);
void source_unassign(struct source *source);

/* Gives the membership up and joins again: after another worker turned out to hold a topic partition. */
void source_rejoin(struct source *source);

/* Pauses or resumes all that is read: only while Postgres keeps us waiting for long, so that polling can go on. */
void source_pause(struct source *source, bool pause);
bool source_is_paused(const struct source *source);

/* Whether an anchor is still to be met. */
bool source_is_proving(const struct source_topic_partition *topic_partition);

/* Whether its messages are wanted: it is neither stopped nor waiting. */
bool source_is_read(const struct source_topic_partition *topic_partition);

/* Reads on at the next anchor, or at expected_offset: what was fetched before is dropped. */
void source_seek(struct source *source, const struct source_topic_partition *topic_partition);

/* Reads this one no more: its is_stopped is set, the others go on. because: a constant, see stopped_because. */
void source_stop(struct source *source, struct source_topic_partition *topic_partition, const char *because);

/* source_error.c: what a message that is an error means. message->err is set; the message stays the caller's. topic_partition: the
 * one of ours that it is about, or NULL. SOURCE_END sets *end_offset, SOURCE_FATAL sets err. */
MUST_CHECK enum source_event source_error_take(struct source *source, const rd_kafka_message_t *message,
                                               struct source_topic_partition *topic_partition, int64_t *end_offset,
                                               struct error *err);

/* Takes a topic partition out of what is read, because another worker owns it. */
void source_forget(struct source *source, int32_t topic_partition);

/* Tells Kafka where the ledger stands (claim.next_offset of all that is read), for lag tools only; no answer is waited for. */
void source_report_positions(struct source *source);

#endif
