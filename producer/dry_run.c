/* dry_run.c - see dry_run.h.
 *
 * Each event is encoded and read back: what is shown is the message, not what was meant to be in it.
 */
#include "dry_run.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base64.h"
#include "catalogue.h"
#include "clock.h"
#include "error.h"
#include "event.h"
#include "msgpack_json.h"
#include "service.h"
#include "settings.h"
#include "uuid.h"

bool dry_run_open(struct dry_run *dry_run, const struct settings *settings, struct error *err)
{
    *dry_run = (struct dry_run){.is_unknown_event_refused = strcmp(settings_text(settings, "catalogue.unknown"), "reject") == 0};
    dry_run->catalogue = catalogue_load(settings_text(settings, "catalogue.file"), err);
    return dry_run->catalogue != NULL;
}

void dry_run_close(struct dry_run *dry_run)
{
    catalogue_free(dry_run->catalogue);
    *dry_run = (struct dry_run){0};
}

/* The id and the time as people write them. */
static void make_readable(json_t *value)
{
    const json_t *id = json_object_get(value, "id"), *created = json_object_get(value, "created_at");
    uint8_t bytes[UUID_BYTES];
    char uuid[UUID_TEXT_BYTES], time[CLOCK_TIME_BYTES];
    if (base64_decode(json_string_value(id), json_string_length(id), bytes, sizeof bytes))
        json_object_set_new(value, "id", json_string(uuid_format(uuid, bytes)));
    json_object_set_new(value, "created_at", json_stringn(time, clock_format_time(time, json_integer_value(created))));
}

static bool show(const struct event_message *message, struct error *err)
{
    json_t *value = msgpack_json(message->value, message->value_length, err);
    if (value == NULL)
        return error_wrap(err, "the message cannot be read back");
    make_readable(value);
    json_t *shown = json_pack("{s:s%, s:o}", "key", message->key, message->key_length, "value", value);
    bool ok = shown != NULL && json_dumpf(shown, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
    json_decref(shown);
    return ok || error_set(err, ERROR_RETRY, "cannot write to stdout");
}

static enum outlet_answer send_nowhere(void *context, struct tally_event *event, int64_t done, struct error *err)
{
    (void)done;
    struct dry_run *dry_run = context;
    struct event_message message;
    struct tally_error reason;
    if (service_is_stopping()) {
        error_set(err, ERROR_RETRY, "stopped by a signal");
        return OUTLET_FAILED;
    }
    if (!event_encode(event, &message, &reason) ||
        !event_is_allowed(event, dry_run->catalogue, dry_run->is_unknown_event_refused, &reason)) {
        error_set(err, reason.code == TALLY_INVALID ? ERROR_REJECT : ERROR_RETRY, "%s", reason.text);
        return reason.code == TALLY_INVALID ? OUTLET_INVALID : OUTLET_FAILED;
    }
    if (dry_run->sent++ < DRY_RUN_SHOWN && !show(&message, err))
        return OUTLET_FAILED;
    return OUTLET_SENT;
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

struct outlet dry_run_outlet(struct dry_run *dry_run)
{
    return (struct outlet){.context = dry_run, .send = send_nowhere, .settle = settle_nothing, .clear = clear_nothing};
}
