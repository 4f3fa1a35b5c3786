/* json_event.c - see json_event.h. It recurses no deeper than an event allows: past that the event refuses, and says so. */
#include "json_event.h"

#include "event.h"

void json_event_put_all(struct tally_event *event, const json_t *object)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at))
        json_event_put(event, json_object_iter_key(at), json_object_iter_value(at));
}

static void put_container(struct tally_event *event, const char *key, const json_t *value)
{
    bool is_object = json_is_object(value);
    if (is_object)
        tally_event_map(event, key);
    else
        tally_event_array(event, key);
    if (event->error.code != TALLY_OK)
        return;
    if (is_object)
        json_event_put_all(event, value);
    for (size_t i = 0; !is_object && i < json_array_size(value); i++)
        json_event_put(event, NULL, json_array_get(value, i));
    tally_event_end(event);
}

void json_event_put(struct tally_event *event, const char *key, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY: put_container(event, key, value); break;
    case JSON_STRING: tally_event_text_n(event, key, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: tally_event_int(event, key, json_integer_value(value)); break;
    case JSON_REAL: tally_event_number(event, key, json_real_value(value)); break;
    case JSON_TRUE:
    case JSON_FALSE: tally_event_bool(event, key, json_is_true(value)); break;
    case JSON_NULL: tally_event_null(event, key); break;
    }
}
