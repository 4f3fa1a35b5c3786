/* event_json.h - the reader that an event keeps for tally_event_json. */
#ifndef TALLYMILL_EVENT_JSON_H
#define TALLYMILL_EVENT_JSON_H

struct event_json;

/* NULL is fine. */
void event_json_free(struct event_json *reader);

#endif
