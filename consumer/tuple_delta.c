/* tuple_delta.c - see tuple_delta.h.
 *
 * The delta is made of the very bytes that go to Postgres, so it cannot say anything else than the rows do. Called while the tuple
 * is still in the nearest cache, it costs a few instructions a column.
 */
#include "consumer/tuple_delta.h"

#include <stddef.h>

#include "common/delta.h"
#include "common/tuple.h"

void tuple_delta_add(struct delta *delta, const uint8_t *tuple, int32_t day)
{
    if (tuple[TUPLE_IS_INTERNAL] != 0) {
        delta_add_internal(delta);
        return;
    }
    const uint8_t *next = tuple + TUPLE_EVENT_DATA;
    tuple_next_column(&next);
    const struct tuple_column name = tuple_next_column(&next);
    tuple_next_column(&next); /* event_category */
    const struct tuple_column session = tuple_next_column(&next), user = tuple_next_column(&next);
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
