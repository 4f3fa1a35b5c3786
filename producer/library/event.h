/* event.h - one event while it is built: its columns, and event_data as msgpack bytes that grow in place.
 *
 * The public half is in <tallymill/producer.h>: event.c has the columns and the message, attributes.c what goes into event_data.
 * One thread.
 *
 * The bytes:   [ EVENT_HEAD_BYTES: columns are put here, right-aligned, by event_encode ][ event_data's entries ][ EVENT_TAIL_BYTES
 * ]
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_EVENT_H
#define TALLYMILL_PRODUCER_LIBRARY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "common/wire.h"
#include "producer/library/keys.h"

enum {
    EVENT_HEAD_BYTES =
        512, /* map 1, id 21, event_name 113, event_category 67, session_id 268, user_id 17, event_data and its header 14: 501 */
    EVENT_TAIL_BYTES = 64, /* is_internal 13, created_at 20 */
};

/* A map or array of event_data that is still open. Its header is one byte until it is closed. */
struct event_container {
    uint32_t header;  /* where its header is, from `bytes`; unused for event_data itself */
    uint32_t entries; /* so far */
    uint32_t number;  /* unlike for each map of the event: keys are told apart by it */
    bool is_map;
};

struct catalogue;

/* What an event keeps for somebody above it, who begins his own struct with it. */
struct event_reader {
    void (*free)(struct event_reader *reader);
};

struct tally_event {
    uint8_t *bytes;
    size_t capacity;
    size_t end; /* of event_data's entries, from `bytes`; they begin at EVENT_HEAD_BYTES */
    struct event_container open[WIRE_DATA_DEPTH];
    unsigned depth; /* open containers: 1 while only event_data is open; 0: tally_event_begin was never called */
    uint32_t containers;
    struct keys keys;

    bool has_id, has_user, has_created, is_internal;
    const char *next_key; /* of tally_event_key_n, for the next attribute; NULL: none */
    size_t next_key_length;
    uint8_t *extra; /* EXTRA_MAX bytes, from the first tag or header on; NULL before */
    size_t extra_length;
    struct event_reader *json; /* of tally_event_json, from the first on; NULL before */
    bool has_bytes;            /* from tally_event_data: not checked yet */
    bool is_published;         /* a tally_publish said TALLY_OK: what is changed now would be taken for a duplicate, and lost */
    uint8_t id[TALLY_ID_BYTES];
    char id_text[TALLY_ID_TEXT_BYTES]; /* the message's key where there is no session */
    int64_t user_id, created_at_us;
    size_t event_name_length, event_category_length, session_id_length;
    char event_name[WIRE_EVENT_NAME_BYTES], event_category[WIRE_CATEGORY_BYTES], session_id[WIRE_SESSION_ID_BYTES];

    struct tally_error error; /* the first mistake since tally_event_begin */
};

/* What goes to Kafka. Points into the event: valid until it is changed or freed. */
struct event_message {
    const void *key, *value;
    size_t key_length, value_length;
    const uint8_t *extra; /* what travels beside the value: the caller's tag, then headers (extra.h); nothing: NULL, 0 */
    size_t extra_length;
};

/* The message; gives the event its id and time if it has none, so that encoding again gives the same bytes. False: *err
 * (TALLY_INVALID or TALLY_FAILED). */
MUST_CHECK bool event_encode(struct tally_event *event, struct event_message *message, struct tally_error *err);

/* May it be sent, by the catalogue? Not when its category is another, nor (if is_unknown_refused) when its name is not there.
 * False: *err (TALLY_INVALID). */
MUST_CHECK bool event_is_allowed(const struct tally_event *event, const struct catalogue *catalogue, bool is_unknown_refused,
                                 struct tally_error *err);

/* Where the id lies in each value that event_encode makes: behind the map's header, the key "id" and the header of a bin of 16. */
enum { EVENT_ID_POSITION = 6 };
/* The id in the value of any event, 16 bytes in it; all zero where it is not found. */
const uint8_t *event_find_id(const void *value, size_t length);

/* May it be changed? Not once it was published: remembered as a mistake. NULL may not, and nothing is remembered. */
bool event_refuse_change(struct tally_event *event);
static inline bool event_may_change(struct tally_event *event)
{
    return event != NULL && (!event->is_published || event_refuse_change(event));
}

/* Entries of a map as msgpack, put into the open map as they are. They are checked when the event is published. */
void event_add_entries(struct tally_event *event, const uint8_t *entries, size_t length, uint32_t count);

/* The years 0001 to 9999 (UTC), which Postgres and RFC 3339 both have. */
#define EVENT_TIME_FIRST_US INT64_C(-62135596800000000)
#define EVENT_TIME_END_US   INT64_C(253402300800000000)
bool event_time_is_sound(int64_t wall_us);

/* Remembers the first mistake. Returns false. */
bool event_fail(struct tally_event *event, enum tally_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Fills a public error (which may be NULL). Returns the code. */
enum tally_code tally_error_set(struct tally_error *err, enum tally_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
