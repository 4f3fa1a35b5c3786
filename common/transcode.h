/* transcode.h - one msgpack event becomes one tuple of Postgres's binary COPY, in one walk over its bytes. Wire format:
 * schemas/wire.md; tuple: tuple.h. batch_id is left 0: it is known when the transaction begins.
 *
 * A transcoder belongs to one thread. Nothing here allocates after transcoder_new.
 */
#ifndef TALLYMILL_COMMON_TRANSCODE_H
#define TALLYMILL_COMMON_TRANSCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/reason.h"
#include "common/wire.h"

struct catalogue;

/* Bytes that one tuple may need, whatever the event holds: six for each byte of event_data (a control character), and the rest. */
enum { TRANSCODE_ROOM = 6 * (WIRE_DATA_BYTES + 16) + 2048 };

struct transcode_rules {
    int64_t oldest_us, newest_us;      /* the accepted window of created_at; brought up to date by the caller */
    bool clamp;                        /* outside it: store at the message's time, keep the original in event_data._created_at */
    bool reject_unknown_keys;          /* wire.unknown_key */
    bool reject_unknown_events;        /* catalogue.unknown */
    bool reject_attributes;            /* catalogue.attributes */
    bool keep_trace;                   /* wire.trace: the message's traceparent becomes event_data._trace */
    const struct catalogue *catalogue; /* borrowed, outlives the transcoder */
};

struct transcoded {
    size_t length;          /* bytes of the tuple */
    int32_t day;            /* UTC day of created_at, since 1970-01-01 */
    bool is_unknown_event;  /* not in the catalogue */
    bool has_unknown_key;   /* kept under event_data._extra */
    bool is_clamped;        /* stored at the message's time, which is not its own */
    bool breaks_attributes; /* an attribute against the catalogue, stored all the same */
};

struct transcoder;

/* NULL and ERROR_RETRY without memory. rules is copied. */
MUST_CHECK struct transcoder *transcoder_new(const struct transcode_rules *rules, struct error *err);
void transcoder_free(struct transcoder *transcoder);

/* Moves the accepted window (the clock goes on). */
void transcoder_set_window(struct transcoder *transcoder, int64_t oldest_us, int64_t newest_us);

/* As it was last moved. */
void transcoder_window(const struct transcoder *transcoder, int64_t *oldest_us, int64_t *newest_us);

/* Writes the tuple of `value` (NULL: a tombstone) to `out`, which has TRANSCODE_ROOM bytes. message_us: Kafka's record time in Unix
 * microseconds, used for clamping when it lies in the window. Any reason but NONE: a dead letter; what is in `out` then means
 * nothing, and transcoder_detail() says where. */
enum reason transcode(struct transcoder *transcoder, const uint8_t *value, size_t length, int64_t message_us, uint8_t *out,
                      struct transcoded *result);

/* The message's header `traceparent` (NULL: none), borrowed until the next transcode, for which alone it holds. What is not one by
 * W3C Trace Context ("00-", 32 hexadecimal digits, "-", 16, "-", 2) is left out: it says nothing about the event. Without
 * keep_trace: nothing. */
void transcoder_set_trace(struct transcoder *transcoder, const void *text, size_t length);
bool transcoder_keeps_trace(const struct transcoder *transcoder);

/* "byte 57, key event_data": where the last refused event went wrong. Valid until the next transcode. Never holds input bytes. */
const char *transcoder_detail(const struct transcoder *transcoder);

#endif
