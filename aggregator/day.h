/* day.h - one UTC day's statistics as exact sets: events, distinct sessions and distinct users of each event name.
 *
 * A day is filled event by event and gives its figures at any moment. Its memory is taken from a budget before an event is added,
 * so that an event is in it wholly or not at all. Event names live in the day and go with it: names come from outside, and one list
 * for all days would only ever grow. One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_DAY_H
#define TALLYMILL_AGGREGATOR_DAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/keyset.h"

struct budget;
struct identity;

struct day_name {
    uint32_t text_offset, text_length; /* in day->texts */
    bool is_touched;                   /* its figures changed since they were written */
    int64_t events, sessions, users;
};

/* The sets of 64 consecutive names. */
struct day_group {
    struct keyset sessions, users;
};

struct day {
    int32_t number; /* days since 1970-01-01 */
    struct budget *budget;
    const struct identity *identity;
    struct day_name *names;
    uint32_t name_count, name_capacity, touched_count;
    uint32_t *name_index; /* open addressing: name number + 1 */
    uint32_t name_index_mask;
    char *texts;
    size_t texts_used, texts_capacity;
    struct day_group *groups;
    uint32_t group_count;
};

/* One event as the sets see it. */
struct day_event {
    uint32_t name; /* from day_name() */
    bool has_session, has_user;
    uint64_t session[2], user;
};

/* identity and budget must outlive the day. NULL: no memory or no budget. */
struct day *day_new(int32_t number, const struct identity *identity, struct budget *budget);
void day_free(struct day *day);

/* The number of an event name, which it gets when it is seen first. False: no memory. */
bool day_name(struct day *day, const char *text, size_t length, uint32_t *name);

/* Makes sure that day_add(event) finds room. False: no memory; nothing has changed but perhaps the size of a set. */
bool day_reserve(struct day *day, const struct day_event *event);

/* Counts an event; room must be reserved. */
void day_add(struct day *day, const struct day_event *event);

/* Asks the processor for what day_add(event) will look at. */
void day_prefetch(const struct day *day, const struct day_event *event);

/* Not NUL-terminated; valid until the next day_name(). */
static inline const char *day_name_text(const struct day *day, const struct day_name *name)
{
    return day->texts + name->text_offset;
}

/* Everything is written. */
void day_mark_written(struct day *day);

#endif
