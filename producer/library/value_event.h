/* value_event.h - values into an event's attributes. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_VALUE_EVENT_H
#define TALLYMILL_PRODUCER_LIBRARY_VALUE_EVENT_H

struct tally_event;
struct value;

/* Puts a value under a key (NULL inside an array). Whole numbers stay whole and exact, numbers with a point or exponent become
 * doubles. What does not fit is remembered by the event and told when it is published. */
void value_event_put(struct tally_event *event, const char *key, const struct value *value);

/* Puts every entry of an object that serves no column yet; of CSV with types also none that is NaN, which is absent there. */
void value_event_put_rest(struct tally_event *event, const struct value *object);

#endif
