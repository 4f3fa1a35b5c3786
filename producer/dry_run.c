/* dry_run.c - see dry_run.h.
 *
 * Each event is encoded and read back: what is shown is the message, not what was meant to be in it.
 */
#include "producer/dry_run.h"

#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/service.h"
#include "common/settings.h"
#include "common/uuid.h"
#include "producer/import/msgpack_value.h"
#include "producer/library/event.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

bool dry_run_open(struct dry_run *dry_run, const struct settings *settings, struct error *err)
{
    *dry_run = (struct dry_run){.is_unknown_event_refused = strcmp(settings_text(settings, "catalogue.unknown"), "reject") == 0};
    dry_run->catalogue = catalogue_load(settings_text(settings, "catalogue.file"), err);
    dry_run->pool = value_pool_new();
    outside_init(&dry_run->outside, settings, clock_wall_us());
    return dry_run->catalogue != NULL && (dry_run->pool != NULL || error_set(err, ERROR_RETRY, "no memory"));
}

void dry_run_close(struct dry_run *dry_run)
{
    catalogue_free(dry_run->catalogue);
    value_pool_free(dry_run->pool);
    *dry_run = (struct dry_run){0};
}

/* The id and the time as people write them. */
static void make_readable(struct value *value, char uuid[UUID_TEXT_BYTES], char time[CLOCK_TIME_BYTES])
{
    struct value *id = value_find(value, "id", 2), *created = value_find(value, "created_at", 10);
    uint8_t bytes[UUID_BYTES];
    if (id != NULL && id->type == VALUE_TEXT && base64_decode(id->text, id->length, bytes, sizeof bytes)) {
        id->text = uuid_format(uuid, bytes);
        id->length = UUID_TEXT_BYTES - 1;
    }
    if (created != NULL && created->type == VALUE_INTEGER) {
        created->length = clock_format_time(time, created->integer);
        created->type = VALUE_TEXT;
        created->text = time;
    }
}

static bool show(struct dry_run *dry_run, const struct event_message *message, struct error *err)
{
    char uuid[UUID_TEXT_BYTES], time[CLOCK_TIME_BYTES];
    value_pool_reset(dry_run->pool);
    struct value *value = msgpack_value(dry_run->pool, message->value, message->value_length, err);
    struct value *key = value_text(dry_run->pool, message->key, message->key_length, err);
    struct value *shown = value_new(dry_run->pool, VALUE_OBJECT, err);
    if (value == NULL || key == NULL || shown == NULL)
        return error_wrap(err, "the message cannot be read back");
    make_readable(value, uuid, time);
    value_add(shown, "key", 3, key);
    value_add(shown, "value", 5, value);
    return json_write(shown, stdout, err) && (putchar('\n') != EOF || error_set(err, ERROR_RETRY, "cannot write to stdout"));
}

static enum sink_answer send_nowhere(void *context, struct tally_event *event, int64_t done, struct error *err)
{
    (void)done;
    struct dry_run *dry_run = context;
    struct event_message message;
    struct tally_error reason;
    if (service_is_stopping()) {
        error_set(err, ERROR_RETRY, "stopped by a signal");
        return SINK_FAILED;
    }
    if (!event_encode(event, &message, &reason) ||
        !event_is_allowed(event, dry_run->catalogue, dry_run->is_unknown_event_refused, &reason)) {
        error_set(err, reason.code == TALLY_INVALID ? ERROR_REJECT : ERROR_RETRY, "%s", reason.text);
        return reason.code == TALLY_INVALID ? SINK_INVALID : SINK_FAILED;
    }
    outside_add(&dry_run->outside, event);
    if (dry_run->sent++ < DRY_RUN_SHOWN && !show(dry_run, &message, err))
        return SINK_FAILED;
    return SINK_SENT;
}

static bool settle_nothing(void *context, int64_t done, struct error *err)
{
    (void)context;
    (void)done;
    (void)err;
    return true;
}

static void clear_nothing(void *context)
{
    (void)context;
}

struct sink dry_run_sink(struct dry_run *dry_run)
{
    return (struct sink){.context = dry_run, .send = send_nowhere, .settle = settle_nothing, .clear = clear_nothing};
}
