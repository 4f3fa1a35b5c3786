/* event_key.h - the nine keys of an event, in the order in which most producers write them (schemas/wire.md). Any thread. */
#ifndef TALLYMILL_COMMON_EVENT_KEY_H
#define TALLYMILL_COMMON_EVENT_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/msgpack.h"

enum event_key {
    KEY_ID,
    KEY_EVENT_NAME,
    KEY_CATEGORY,
    KEY_SESSION,
    KEY_USER,
    KEY_DATA,
    KEY_INTERNAL,
    KEY_CREATED_AT,
    KEY_VERSION,
    KEY_COUNT /* none of them */
};

/* Each key, and before it the byte that a fixstr of its length begins with. */
struct event_key_text {
    const char *packed;
    size_t length; /* of the key */
};
extern const struct event_key_text event_keys[KEY_COUNT];

/* The expected key, or one of the two behind it (optional ones are left out), when it stands here packed the short way, as in
 * nearly all events; else KEY_COUNT. The header byte and the text are compared as one. */
static inline enum event_key event_key_expected(const struct msgpack_cursor *cursor, unsigned expected)
{
    for (unsigned last = expected + 3; expected < KEY_COUNT && expected < last; expected++)
        if ((size_t)(cursor->end - cursor->at) > event_keys[expected].length &&
            bytes_equal(event_keys[expected].packed, cursor->at, event_keys[expected].length + 1))
            return (enum event_key)expected;
    return KEY_COUNT;
}

/* Which key a string is, however it was packed. expected: the one that mostly comes here, tried first. */
enum event_key event_key_find(const struct msgpack_item *string, unsigned expected);

#endif
