/* <tallymill/producer.h> - publish analytics events to Kafka, from which Tallymill's workers bring them into Postgres.
 *
 *     struct tally_error err = TALLY_ERROR_INIT;
 *     struct tally_setting settings[] = {{"kafka.bootstrap.servers", "127.0.0.1:9092"}, {NULL, NULL}};
 *     struct tally_producer *producer = tally_open(settings, NULL, &err);
 *     struct tally_event *event = tally_event_new();
 *
 *     tally_event_begin(event, "doc_export");
 *     tally_event_session(event, "b7e23ec2");
 *     tally_event_text(event, "action", "copy");
 *     if (tally_publish(producer, event, &err) != TALLY_OK)
 *         fprintf(stderr, "%s\n", err.text);
 *
 *     tally_close(producer, 10000, NULL);
 *     tally_event_free(event);
 *
 * tally_publish copies the event into a queue and returns: it takes no lock and does not wait, and its one system call is a
 * sem_post where the library's thread sleeps. Full, it takes a lock to say why; it waits where publish.timeout.ms lets it, and for
 * the disk with spool.sync = each. A thread of the library sends the queue's events, idempotently, with acks=all, and for as long
 * as kafka.message.timeout.ms (5 minutes) lets it; with a spool (spool.dir) they go through files first, and what Kafka has not
 * acknowledged when the process ends is sent by the next one. What became of an event is counted (tally_count), told to a hook, and
 * told by tally_close. What an event may hold: wire.md.
 *
 * Threads: one producer may be used by any number of threads at once; an event belongs to one thread. After fork() only the parent
 * goes on using a producer; in the child every call but tally_event_* answers TALLY_FAILED or false, and does nothing: it opens its
 * own. A negative time-out is 0: whoever wants to wait for ever says so with INT_MAX. Texts are UTF-8, NUL-terminated, and copied
 * before a call returns. C99 and C++.
 *
 * A NULL producer (a service without analytics) and a NULL event are harmless in every call: tally_publish and tally_check answer
 * TALLY_FAILED, the others do nothing.
 *
 * Structs that a caller or the library fills begin with their size, so that a later release can add members at their end: write
 * TALLY_ERROR_INIT, TALLY_COUNTS_INIT, TALLY_HOOKS_INIT, or sizeof. In an error or in counts, a size of 0 (or any that is smaller
 * than the struct of 0.1.0) means that struct; what lies behind the library's own members is left alone.
 *
 * Why events do not arrive (no broker answers, the topic does not exist, a right is missing) is told to the log hook within two
 * seconds, once, and again in TALLY_FULL and in what is given up.
 */
#ifndef TALLYMILL_PRODUCER_H
#define TALLYMILL_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TALLY_API __attribute__((visibility("default")))
#else
#define TALLY_API
#endif

enum tally_code {
    TALLY_OK = 0,
    TALLY_FULL,    /* no place now: the queue is full (Kafka is slow or away), or the spool, or its disk. Again, later */
    TALLY_INVALID, /* this event, setting or argument is wrong and always will be: the text says what */
    TALLY_FAILED,  /* something around us failed: no broker answers, no memory, spool.dir in use, producer closed. Again may help */
};

enum { TALLY_ERROR_BYTES = 512, TALLY_ID_BYTES = 16, TALLY_ID_TEXT_BYTES = 37 };

struct tally_error {
    size_t size; /* the caller's: sizeof(struct tally_error) */
    enum tally_code code;
    char text[TALLY_ERROR_BYTES]; /* one line, NUL-terminated: what happened, to which object */
};
#define TALLY_ERROR_INIT                                                                                                           \
    {                                                                                                                              \
        sizeof(struct tally_error), TALLY_OK,                                                                                      \
        {                                                                                                                          \
            0                                                                                                                      \
        }                                                                                                                          \
    }

struct tally_producer;
struct tally_event;

/* -- The producer -- */

/* clang-format off */
/* A list of settings ends with a NULL key.
 *   kafka.*             goes to librdkafka as it stands. kafka.bootstrap.servers is required; enable.idempotence, acks and partitioner
 *                       are ours and refused, with a spool kafka.message.timeout.ms as well
 *   topics.events       the topic (analytics-events)
 *   publish.timeout.ms  the longest that tally_publish waits for room in a full queue (0: never waits)
 *   queue.size          what the queue between tally_publish and librdkafka holds (4 MiB; librdkafka holds kafka.queue.buffering.max.*)
 *   spool.dir           a directory of this process's own, made if missing: events survive Kafka's absence and the process (no spool)
 *   spool.size          all its files together (1 GiB)
 *   spool.sync          interval: events are in the file a millisecond after tally_publish, where they survive the process, and on the
 *                       disk within 200 ms, where they survive the machine; never: the latter is left to the kernel; each: tally_publish
 *                       returns once the event is on the disk, which takes as long as the disk takes (interval). While others fill the
 *                       disk: once Kafka has acknowledged it; of the other two up to 256 KiB wait for that in memory
 *   spool.full          refuse: tally_publish answers TALLY_FULL; drop_oldest: the oldest events go, and count as failed (refuse)
 *   spool.wait.ms       how long tally_open waits for another process that still uses spool.dir (0)
 *   poll.size           what may wait for tally_poll, where hooks ask for that (4 MiB)
 *   catalogue.file      the known events as JSON (the copy built in)
 *   catalogue.unknown   accept or reject events that the catalogue does not name (accept) */
/* clang-format on */
struct tally_setting {
    const char *key, *value;
};

/* What became of an event. */
enum tally_fate {
    TALLY_ACKNOWLEDGED = 0,
    TALLY_TIMED_OUT, /* kafka.message.timeout.ms passed */
    TALLY_REFUSED,   /* Kafka will never take it: it is too large for the topic, or unsound */
    TALLY_CLOSED,    /* tally_close came first (without a spool, or with one whose disk others have filled) */
    TALLY_DROPPED,   /* the spool was full: spool.full = drop_oldest */
};

/* The fate of one event. Everything is valid during the call only. */
struct tally_delivery {
    size_t size;             /* what the library filled: a member behind it is not there */
    const uint8_t *id;       /* TALLY_ID_BYTES */
    const char *error;       /* NULL: acknowledged; else why it was given up */
    int32_t topic_partition; /* where it lies, when acknowledged; else -1 */
    int64_t offset;
    const void *key,
        *value; /* the message: keep the bytes of a failed one and tally_publish_bytes them again: none is lost or doubled */
    size_t key_length, value_length;
    enum tally_fate fate;
    uint64_t tag; /* of tally_event_tag; 0: none, or the event is from the spool of a former process */
};

/* They are called from threads of the library (at the end also from that of tally_stop), `delivered` never from two at once; or,
 * where is_polled says so, from tally_poll. Inside them nothing waits: tally_publish answers TALLY_FULL at once where there is no
 * room, and always with spool.sync = each; tally_flush, tally_stop and tally_close answer false and do nothing. They must not
 * throw. Set size to sizeof(struct tally_hooks) (else TALLY_INVALID) and what is not wanted to NULL. */
struct tally_hooks {
    size_t size;
    void (*delivered)(void *context, const struct tally_delivery *delivery);
    /* What librdkafka says, with syslog's levels; may come from several threads. Without it the library writes nothing anywhere. */
    void (*log)(void *context, int level, const char *text);
    void *context;
    /* True: all hooks run inside tally_poll (and inside tally_flush, tally_stop and tally_close, which poll while they wait),
     * nowhere else. */
    bool is_polled;
    /* With kafka.sasl.mechanism = OAUTHBEARER: a token is needed, now and each time when four fifths of the last one's life are
     * over. Answer with tally_oauth_token or tally_oauth_failed, here or later from any thread; nothing is sent to Kafka meanwhile,
     * so what takes long (a request to the identity provider) belongs into a thread of the application's. config:
     * kafka.sasl.oauthbearer.config, or NULL. May come before tally_open has returned. NULL: librdkafka's own ways
     * (kafka.sasl.oauthbearer.method = oidc). */
    void (*token)(void *context, struct tally_producer *producer, const char *config);
};
#define TALLY_HOOKS_INIT                                                                                                           \
    {                                                                                                                              \
        sizeof(struct tally_hooks), NULL, NULL, NULL, false, NULL                                                                  \
    }

/* Connects in the background. settings and hooks (may be NULL) are copied. NULL: TALLY_INVALID naming the setting, or TALLY_FAILED.
 */
TALLY_API struct tally_producer *tally_open(const struct tally_setting *settings, const struct tally_hooks *hooks,
                                            struct tally_error *err);

/* The same with the settings of an INI file, as Tallymill's programs read theirs: [kafka] and `bootstrap.servers = ...` under it is
 * kafka.bootstrap.servers, a value @/PATH is what that file holds, @NAME a systemd credential, @@ an @. `more` (may be NULL) goes
 * before what the file says. TALLY_INVALID names file, line and key of a setting that a producer does not know, or that stands
 * there twice. */
TALLY_API struct tally_producer *tally_open_file(const char *path, const struct tally_setting *more,
                                                 const struct tally_hooks *hooks, struct tally_error *err);

/* Calls the hooks of what has happened since the last call, and returns how many times; never waits. With hooks.is_polled only;
 * else, and inside a hook, and while another thread is inside tally_poll, 0. Up to poll.size bytes of reports wait for it, and
 * nothing is lost: beyond that the library leaves what Kafka answers with librdkafka, until its queue (kafka.queue.buffering.max.*)
 * and then ours are full and tally_publish says TALLY_FULL. With spool.full = drop_oldest a file's worth of events can be above the
 * limit. Of log lines 1,000 wait; of more it tells how many there were. */
TALLY_API int tally_poll(struct tally_producer *producer);
/* A descriptor that is readable (POLLIN, EPOLLIN, level triggered) while something waits for tally_poll. The producer's own until
 * tally_close: to be waited for, not read. -1 without hooks.is_polled. */
TALLY_API int tally_poll_fd(const struct tally_producer *producer);

/* A token for hooks.token: as the identity provider gave it, with the wall clock's time when it ends (microseconds since 1970 UTC),
 * and the principal that it is for. extensions: SASL's (RFC 7628), ended by a NULL key, or NULL. All copied. TALLY_INVALID: a token
 * that cannot be (over, with characters that none has); TALLY_FAILED: the producer is stopped, or has no hooks.token. */
TALLY_API enum tally_code tally_oauth_token(struct tally_producer *producer, const char *token, int64_t expires_us,
                                            const char *principal, const struct tally_setting *extensions, struct tally_error *err);
/* There is none now, for this reason (one line, without the secret), which the log hook is told. The hook is called again after ten
 * seconds. */
TALLY_API void tally_oauth_failed(struct tally_producer *producer, const char *reason);

/* Asks the brokers, for up to timeout_ms, whether they answer and have the topic: TALLY_OK with the number of its topic partitions
 * in *topic_partitions (may be NULL), TALLY_FAILED when none answers, TALLY_INVALID when the topic is missing. Never makes a topic.
 */
TALLY_API enum tally_code tally_check(struct tally_producer *producer, int timeout_ms, int *topic_partitions,
                                      struct tally_error *err);

/* Hands an event over. TALLY_OK: the producer has its own copy and goes on trying to deliver it. Else it promises nothing and err
 * (may be NULL) says why. The event stays as it is: publishing it again sends the same bytes, which are stored once; changing it
 * after TALLY_OK is a mistake, which the next tally_publish names. Waits only while there is no room, and no longer than
 * publish.timeout.ms; with spool.sync = each also for the disk. */
TALLY_API enum tally_code tally_publish(struct tally_producer *producer, struct tally_event *event, struct tally_error *err);

/* A whole event as msgpack (wire.md), from another packer or as a delivery report gave it: taken as it is, once it was checked by
 * the workers' own rules (TALLY_INVALID has the reason that a dead letter would have). key NULL: its session, else its id. tag: as
 * tally_event_tag. The check takes a lock. */
TALLY_API enum tally_code tally_publish_bytes(struct tally_producer *producer, const void *key, size_t key_size, const void *value,
                                              size_t value_size, uint64_t tag, struct tally_error *err);

/* Since tally_open. accepted + recovered - acknowledged - failed are on their way (after tally_close: in the spool, for the next
 * one). */
struct tally_counts {
    size_t size; /* the caller's: sizeof(struct tally_counts) */
    uint64_t accepted, acknowledged, failed;
    uint64_t recovered; /* found in the spool by tally_open */
    uint64_t dropped;   /* of failed: from a full spool, by spool.full = drop_oldest */
    uint64_t damaged;   /* of failed: the spool's files did not hold them any more, or not as they were written */
};
#define TALLY_COUNTS_INIT                                                                                                          \
    {                                                                                                                              \
        sizeof(struct tally_counts), 0, 0, 0, 0, 0, 0                                                                              \
    }
TALLY_API void tally_count(const struct tally_producer *producer, struct tally_counts *counts);

/* Waits until nothing is on its way: all that was accepted was acknowledged or has failed. False when timeout_ms passed first. */
TALLY_API bool tally_flush(struct tally_producer *producer, int timeout_ms);

/* Refuses new events, flushes for up to timeout_ms and gives up what is left (which counts as failed and is told to the hook; with
 * a spool it stays there instead). False: not everything was acknowledged. counts may be NULL. Other threads may be inside calls
 * and go on making them: tally_publish answers TALLY_FAILED from now on. The producer is then only good for tally_count and
 * tally_close. */
TALLY_API bool tally_stop(struct tally_producer *producer, int timeout_ms, struct tally_counts *counts);

/* tally_stop, unless that was done, and frees the producer, also when it answers false. No other thread may be inside a call. A
 * broker's name that is being looked up is not waited for: that ends by itself, in a thread of the library's, when the resolver
 * gives up. exit() without it does what tally_stop does with no time, and calls no hook. */
TALLY_API bool tally_close(struct tally_producer *producer, int timeout_ms, struct tally_counts *counts);

/* The version of this header, and of the library that is linked (0.1.0: 0x000100). */
#define TALLY_VERSION 0x000100
/* The library's version, "0.1.0". */
TALLY_API const char *tally_version(void);

/* -- An event -- */

/* An event is built, published, and begun anew; it keeps its memory, so that a thread that reuses one event allocates nothing. A
 * wrong argument (text that is not UTF-8, a limit passed, a key given twice) is remembered and told by tally_publish: calls need no
 * checks. */
TALLY_API struct tally_event *tally_event_new(void); /* NULL: no memory */
TALLY_API void tally_event_free(struct tally_event *event);

/* Forgets what the event held. Names: catalogue.json; 1 to 100 bytes. */
TALLY_API void tally_event_begin(struct tally_event *event, const char *event_name);
/* Makes `to` an event of its own that holds what `from` does, its id as well if it has one; not yet published. */
TALLY_API void tally_event_copy(struct tally_event *to, const struct tally_event *from);

/* Each call that takes a text or a key has a twin, _n, that takes its length instead of a NUL: a std::string_view needs no copy.
 * NULL with length 0 is what NULL is there. */
TALLY_API void tally_event_begin_n(struct tally_event *event, const char *event_name, size_t length);
TALLY_API void tally_event_category_n(struct tally_event *event, const char *event_category, size_t length);
TALLY_API void tally_event_session_n(struct tally_event *event, const char *session_id, size_t length);
TALLY_API void tally_event_header_n(struct tally_event *event, const char *name, size_t name_length, const char *value,
                                    size_t value_length);
/* The key of the attribute that the next call below puts in, whose `key` is then NULL. Borrowed until that call. */
TALLY_API void tally_event_key_n(struct tally_event *event, const char *key, size_t length);

/* All optional, in any order; without them: no session, no user, not internal, the category of the catalogue. */
/* 1 to 50 bytes; must agree with the catalogue. */
TALLY_API void tally_event_category(struct tally_event *event, const char *event_category);
/* 1 to 255 bytes; NULL: none. The events of a session stay in order. */
TALLY_API void tally_event_session(struct tally_event *event, const char *session_id);
/* 0 or more. */
TALLY_API void tally_event_user(struct tally_event *event, int64_t user_id);
/* Staff and tests: stored, but not in the statistics. */
TALLY_API void tally_event_internal(struct tally_event *event, bool is_internal);
/* When it happened: microseconds since 1970 UTC, in the years 0001 to 9999. Else the time of the first tally_publish. */
TALLY_API void tally_event_created(struct tally_event *event, int64_t created_at_us);
/* Who already has an id, such as from a queue of their own. Else a new UUIDv7. */
TALLY_API void tally_event_set_id(struct tally_event *event, const uint8_t id[TALLY_ID_BYTES]);

/* The caller's own: a number or (uintptr_t) a pointer, below 2^55, given back in the delivery report. 0: none. */
TALLY_API void tally_event_tag(struct tally_event *event, uint64_t tag);
/* A header of the Kafka message; all together up to 4 KiB. Of those the workers read `traceparent` (W3C Trace Context), where
 * wire.trace is `keep`. */
TALLY_API void tally_event_header(struct tally_event *event, const char *name, const char *value);

/* The id that the event has or now gets, as bytes. */
TALLY_API void tally_event_id(struct tally_event *event, uint8_t id[TALLY_ID_BYTES]);
/* The same as text, NUL-terminated. Returns `text`. */
TALLY_API const char *tally_event_id_text(struct tally_event *event, char text[TALLY_ID_TEXT_BYTES]);

/* Attributes: what becomes event_data, 64 KiB and 16 levels at most. Keys are 1 to 65,535 bytes and unlike within one map; inside
 * an array key is NULL. Every map and array that is opened is closed with tally_event_end. */
TALLY_API void tally_event_text(struct tally_event *event, const char *key, const char *text); /* NULL becomes null */
/* The same of text that does not end with a NUL. */
TALLY_API void tally_event_text_n(struct tally_event *event, const char *key, const char *text, size_t length);
TALLY_API void tally_event_int(struct tally_event *event, const char *key, int64_t value);
TALLY_API void tally_event_uint(struct tally_event *event, const char *key, uint64_t value);
TALLY_API void tally_event_number(struct tally_event *event, const char *key, double value); /* finite */
TALLY_API void tally_event_bool(struct tally_event *event, const char *key, bool value);
TALLY_API void tally_event_null(struct tally_event *event, const char *key);
/* Becomes base64 text in the row. */
TALLY_API void tally_event_bytes(struct tally_event *event, const char *key, const void *bytes, size_t length);
/* Becomes RFC 3339 text in the row: "2026-01-15T09:30:00.25Z". The years 0001 to 9999. */
TALLY_API void tally_event_time(struct tally_event *event, const char *key, int64_t wall_us);
/* The entries of one msgpack map, from msgpack-c or any other packer, put into event_data (or into the map that is open) as they
 * are. tally_publish then checks the event by the workers' own rules, which takes a lock. */
TALLY_API void tally_event_data(struct tally_event *event, const void *bytes, size_t size);
/* One JSON text (RFC 8259, up to 1 MiB) as what it says: any value under a key or inside an array; without a key, in a map, an
 * object whose entries go in one by one. Whole numbers from -2^63 to 2^64-1 stay exact, numbers with a point or an exponent become
 * doubles; those beyond, a key that stands twice, a NUL, more than 16 levels, and what is no JSON are mistakes that tally_publish
 * names. The event keeps the reader's memory (some 200 KiB) for the next one. */
TALLY_API void tally_event_json(struct tally_event *event, const char *key, const char *text, size_t size);
TALLY_API void tally_event_map(struct tally_event *event, const char *key);
TALLY_API void tally_event_array(struct tally_event *event, const char *key);
TALLY_API void tally_event_end(struct tally_event *event);

#ifdef __cplusplus
}
#endif
#endif
