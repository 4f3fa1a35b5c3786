/* row.c - see row.h.
 *
 * Invariant: a timestamp belongs to the UTC day that Postgres would name, also before 1970 and before 2000: floors, never
 * truncates.
 *
 * The instants 'infinity' and '-infinity' fall into no month's range, so no row holds them.
 */
#include "aggregator/row.h"

#include "aggregator/day.h"
#include "aggregator/identity.h"
#include "common/clock.h"
#include "common/error.h"

#define COLUMNS "CASE WHEN is_internal THEN NULL ELSE event_name END, session_id, user_id"

enum { FIELD_NAME, FIELD_SESSION, FIELD_USER, FIELDS };

const char *row_columns(const struct row_shape *shape)
{
    if (shape->is_of_one_batch)
        return shape->is_of_one_day ? COLUMNS : COLUMNS ", created_at";
    return shape->is_of_one_day ? COLUMNS ", batch_id" : COLUMNS ", batch_id, created_at";
}

static bool read_batch(struct row *row, const struct copy_field *field)
{
    row->is_foreign = field->bytes == NULL;
    if (row->is_foreign)
        return true;
    if (field->length != 8)
        return false;
    row->batch_id = copy_field_int64(field);
    return true;
}

static bool read_time(struct row *row, const struct copy_field *field)
{
    if (!copy_field_has(field, 8))
        return false;
    row->day = clock_day_of(copy_field_int64(field) + CLOCK_POSTGRES_EPOCH_US);
    return true;
}

bool row_read(struct row *row, const struct row_shape *shape, const struct copy_tuple *tuple, struct error *err)
{
    const struct copy_field *fields = tuple->fields;
    unsigned next = FIELDS, expected = FIELDS + !shape->is_of_one_batch + !shape->is_of_one_day;
    *row = (struct row){.batch_id = shape->batch_id, .day = shape->day};
    if (tuple->count != expected || (fields[FIELD_USER].bytes && fields[FIELD_USER].length != 8) ||
        (!shape->is_of_one_batch && !read_batch(row, &fields[next++])) || (!shape->is_of_one_day && !read_time(row, &fields[next])))
        return error_set(err, ERROR_FATAL,
                         "a row of analytics_events has columns of other types than tallymill migrate gives them");
    row->is_internal = !fields[FIELD_NAME].bytes;
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
