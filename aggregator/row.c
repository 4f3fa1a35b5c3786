/* row.c - see row.h.
 *
 * Invariant: a timestamp belongs to the UTC day that Postgres would name, also before 1970 and before 2000: floors, never
 * truncates.
 *
 * The instants 'infinity' and '-infinity' fall into no month's range, so no row holds them.
 */
#include "row.h"

#include "clock.h"
#include "day.h"
#include "error.h"
#include "identity.h"

enum { FIELD_BATCH, FIELD_TIME, FIELD_INTERNAL, FIELD_NAME, FIELD_SESSION, FIELD_USER, FIELDS };

bool row_read(struct row *row, const struct copy_tuple *tuple, struct error *err)
{
    const struct copy_field *fields = tuple->fields;
    row->is_foreign = fields[FIELD_BATCH].bytes == NULL;
    if (tuple->count != FIELDS || (!row->is_foreign && fields[FIELD_BATCH].length != 8) ||
        !copy_field_has(&fields[FIELD_TIME], 8) || !copy_field_has(&fields[FIELD_INTERNAL], 1) || !fields[FIELD_NAME].bytes ||
        (fields[FIELD_USER].bytes && fields[FIELD_USER].length != 8))
        return error_set(err, ERROR_FATAL,
                         "a row of analytics_events has columns of other types than tallymill migrate gives them");
    row->batch_id = row->is_foreign ? 0 : copy_field_int64(&fields[FIELD_BATCH]);
    row->day = clock_day_of(copy_field_int64(&fields[FIELD_TIME]) + CLOCK_POSTGRES_EPOCH_US);
    row->is_internal = copy_field_bool(&fields[FIELD_INTERNAL]);
    row->name = fields[FIELD_NAME];
    row->session_id = fields[FIELD_SESSION];
    row->user_id = fields[FIELD_USER];
    return true;
}

void row_identify(const struct row *row, const struct identity *identity, struct day_event *event)
{
    event->has_session = row->session_id.bytes != NULL;
    if (event->has_session)
        identity_of_text(identity, row->session_id.bytes, row->session_id.length, event->session);
    event->has_user = row->user_id.bytes != NULL;
    if (event->has_user)
        event->user = (uint64_t)copy_field_int64(&row->user_id);
}
