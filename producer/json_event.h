/* json_event.h - JSON values into an event's attributes. */
#ifndef TALLYMILL_JSON_EVENT_H
#define TALLYMILL_JSON_EVENT_H

#include <jansson.h>

struct tally_event;

/* Puts a value under a key (NULL inside an array). Integers stay integers, numbers with a point or exponent become doubles. What
 * does not fit is remembered by the event and told when it is published. */
void json_event_put(struct tally_event *event, const char *key, const json_t *value);

/* Puts every entry of an object. */
void json_event_put_all(struct tally_event *event, const json_t *object);

#endif
