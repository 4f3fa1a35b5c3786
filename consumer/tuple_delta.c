/* tuple_delta.c - see tuple_delta.h.
 *
 * The delta is made of the very bytes that go to Postgres, so it cannot say anything else than the rows do. Called while the tuple
 * is still in the nearest cache, it costs a few instructions a column.
 */
#include "consumer/tuple_delta.h"

#include <stddef.h>

#include "common/delta.h"
#include "common/transcode.h"
#include "common/tuple.h"

struct column {
    const uint8_t *bytes; /* NULL: SQL's NULL */
    uint32_t length;
};

/* The column whose length word is at *next, which moves behind it. */
static struct column next_column(const uint8_t **next)
{
    const uint32_t length = get_32(*next);
    *next += 4;
    if (length == UINT32_MAX)
        return (struct column){0};
    const struct column column = {*next, length};
    *next += length;
    return column;
}

void tuple_delta_add(struct delta *delta, const uint8_t *tuple, int32_t day)
{
    if (tuple[TUPLE_IS_INTERNAL] != 0) {
        delta_add_internal(delta);
        return;
    }
    const uint8_t *next = tuple + TUPLE_EVENT_DATA;
    next_column(&next);
    const struct column name = next_column(&next);
    next_column(&next); /* event_category */
    const struct column session = next_column(&next), user = next_column(&next);
    uint64_t user_id = 0;
    if (user.bytes)
        user_id = (uint64_t)get_32(user.bytes) << 32 | get_32(user.bytes + 4);
    delta_add(delta, &(struct delta_event){.day = day,
                                           .name = (const char *)name.bytes,
                                           .name_length = name.length,
                                           .session = (const char *)session.bytes,
                                           .session_length = session.length,
                                           .has_user = user.bytes != NULL,
                                           .user = user_id});
}
