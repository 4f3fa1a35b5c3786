/* event_key.c - see event_key.h. */
#include "common/event_key.h"

#define EVENT_KEY(head, key)                                                                                                       \
    {                                                                                                                              \
        head key, sizeof(key) - 1                                                                                                  \
    }

/* clang-format off */
const struct event_key_text event_keys[KEY_COUNT] = {
    [KEY_ID]         = EVENT_KEY("\xa2", "id"),
    [KEY_EVENT_NAME] = EVENT_KEY("\xaa", "event_name"),
    [KEY_CATEGORY]   = EVENT_KEY("\xae", "event_category"),
    [KEY_SESSION]    = EVENT_KEY("\xaa", "session_id"),
    [KEY_USER]       = EVENT_KEY("\xa7", "user_id"),
    [KEY_DATA]       = EVENT_KEY("\xaa", "event_data"),
    [KEY_INTERNAL]   = EVENT_KEY("\xab", "is_internal"),
    [KEY_CREATED_AT] = EVENT_KEY("\xaa", "created_at"),
    [KEY_VERSION]    = EVENT_KEY("\xa1", "v"),
};
/* clang-format on */

enum event_key event_key_find(const struct msgpack_item *string, unsigned expected)
{
    for (unsigned tried = 0; tried < KEY_COUNT; tried++, expected++) {
        if (expected >= KEY_COUNT)
            expected = 0;
        if (event_keys[expected].length == string->length &&
            bytes_equal(event_keys[expected].packed + 1, string->bytes, string->length))
            return (enum event_key)expected;
    }
    return KEY_COUNT;
}
