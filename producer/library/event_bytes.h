/* event_bytes.h - the parts of event_bytes.c that others need. Any thread. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_EVENT_BYTES_H
#define TALLYMILL_PRODUCER_LIBRARY_EVENT_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include "producer/library/event.h"

/* The key that a whole event's message gets: its session, or its id. False: it has neither. Points into `value`. */
bool event_find_key(const void *value, size_t length, struct event_message *message);

#endif
