/* day.c - the names of a day, and its key sets in groups of 64 names.
 *
 * Invariant: a name's figures are what a COUNT over the added events would say, and every byte a day holds is counted in the
 * budget. The catalogue has 18 names, so one group is the rule; more groups only serve whoever invents event names. Rejected:
 * counting the entries of a set when asked (a walk over millions); the figures are kept as events come, since keyset_add() says
 * whether a key is new under that name.
 */
#include "aggregator/day.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "aggregator/budget.h"
#include "aggregator/identity.h"

enum { FIRST_NAMES = 32, FIRST_TEXT_BYTES = 1024 };

/* Moves an array into a larger one; the budget holds the new size afterwards. */
static bool widen(struct budget *budget, void **array, size_t old_bytes, size_t new_bytes)
{
    if (!budget_take(budget, new_bytes - old_bytes))
        return false;
    void *wider = realloc(*array, new_bytes);
    if (!wider) {
        budget_give(budget, new_bytes - old_bytes);
        return false;
    }
    memset((char *)wider + old_bytes, 0, new_bytes - old_bytes);
    *array = wider;
    return true;
}

struct day *day_new(int32_t number, const struct identity *identity, struct budget *budget)
{
    if (!budget_take(budget, sizeof(struct day)))
        return NULL;
    struct day *day = calloc(1, sizeof *day);
    if (!day) {
        budget_give(budget, sizeof *day);
        return NULL;
    }
    day->number = number;
    day->identity = identity;
    day->budget = budget;
    return day;
}

void day_free(struct day *day)
{
    if (!day)
        return;
    for (uint32_t i = 0; i < day->group_count; i++) {
        keyset_reset(&day->groups[i].sessions, day->budget);
        keyset_reset(&day->groups[i].users, day->budget);
    }
    size_t index_bytes = day->name_index ? (day->name_index_mask + (size_t)1) * sizeof *day->name_index : 0;
    budget_give(day->budget, sizeof *day + day->name_capacity * sizeof *day->names + index_bytes + day->texts_capacity +
                                 day->group_count * sizeof *day->groups);
    free(day->names);
    free(day->name_index);
    free(day->texts);
    free(day->groups);
    free(day);
}

static uint32_t hash_name(const struct day *day, const char *text, size_t length)
{
    return (uint32_t)XXH3_64bits_withSecret(text, length, day->identity->text_secret, sizeof day->identity->text_secret);
}

/* The index slot of a name, or the empty one where it belongs. The index is never more than half full. */
static uint32_t *find_name(const struct day *day, const char *text, size_t length)
{
    for (uint32_t slot = hash_name(day, text, length);; slot++) {
        uint32_t *number = &day->name_index[slot & day->name_index_mask];
        if (*number == 0)
            return number;
        const struct day_name *name = &day->names[*number - 1];
        if (name->text_length == length && memcmp(day_name_text(day, name), text, length) == 0)
            return number;
    }
}

/* Room for twice as many names, with an index twice as wide again. */
static bool widen_names(struct day *day)
{
    uint32_t capacity = day->name_capacity ? day->name_capacity * 2 : FIRST_NAMES;
    size_t index_bytes = (size_t)capacity * 2 * sizeof *day->name_index;
    size_t old_index_bytes = (size_t)day->name_capacity * 2 * sizeof *day->name_index;
    void *names = day->names;
    if (!budget_take(day->budget, index_bytes))
        return false;
    uint32_t *index = calloc(1, index_bytes);
    if (!index || !widen(day->budget, &names, day->name_capacity * sizeof *day->names, capacity * sizeof *day->names)) {
        free(index);
        budget_give(day->budget, index_bytes);
        return false;
    }
    day->names = names;
    day->name_capacity = capacity;
    free(day->name_index);
    budget_give(day->budget, old_index_bytes);
    day->name_index = index;
    day->name_index_mask = capacity * 2 - 1;
    for (uint32_t i = 0; i < day->name_count; i++)
        *find_name(day, day_name_text(day, &day->names[i]), day->names[i].text_length) = i + 1;
    return true;
}

static bool widen_texts(struct day *day, size_t length)
{
    if (day->texts && day->texts_capacity - day->texts_used >= length)
        return true;
    size_t capacity = day->texts_capacity ? day->texts_capacity * 2 : FIRST_TEXT_BYTES;
    while (capacity - day->texts_used < length)
        capacity *= 2;
    void *texts = day->texts;
    if (capacity > UINT32_MAX || !widen(day->budget, &texts, day->texts_capacity, capacity))
        return false;
    day->texts = texts;
    day->texts_capacity = capacity;
    return true;
}

static bool widen_groups(struct day *day)
{
    if (day->name_count < day->group_count * KEYSET_NAMES)
        return true;
    void *groups = day->groups;
    size_t bytes = day->group_count * sizeof *day->groups;
    if (!widen(day->budget, &groups, bytes, bytes + sizeof *day->groups))
        return false;
    day->groups = groups;
    keyset_init(&day->groups[day->group_count].sessions, 2);
    keyset_init(&day->groups[day->group_count].users, 1);
    day->group_count++;
    return true;
}

bool day_name(struct day *day, const char *text, size_t length, uint32_t *name)
{
    if (day->name_index) {
        uint32_t number = *find_name(day, text, length);
        if (number != 0) {
            *name = number - 1;
            return true;
        }
    }
    if (day->name_count == day->name_capacity && !widen_names(day))
        return false;
    if (!widen_texts(day, length) || !widen_groups(day))
        return false;
    uint32_t *slot = find_name(day, text, length);
    *name = day->name_count++;
    *slot = day->name_count;
    day->names[*name] = (struct day_name){.text_offset = (uint32_t)day->texts_used, .text_length = (uint32_t)length};
    memcpy(day->texts + day->texts_used, text, length);
    day->texts_used += length;
    return true;
}

static inline struct day_group *group_of(const struct day *day, uint32_t name)
{
    return &day->groups[name / KEYSET_NAMES];
}

bool day_reserve(struct day *day, const struct day_event *event)
{
    struct day_group *group = group_of(day, event->name);
    const struct keyset_secret *secret = &day->identity->key_secret;
    if (event->has_session && !keyset_has_room(&group->sessions) && !keyset_grow(&group->sessions, secret, day->budget))
        return false;
    return !event->has_user || keyset_has_room(&group->users) || keyset_grow(&group->users, secret, day->budget);
}

void day_add(struct day *day, const struct day_event *event)
{
    struct day_group *group = group_of(day, event->name);
    struct day_name *name = &day->names[event->name];
    const struct keyset_secret *secret = &day->identity->key_secret;
    unsigned bit = event->name % KEYSET_NAMES;
    name->events++;
    if (event->has_session)
        name->sessions += keyset_add(&group->sessions, secret, event->session, bit);
    if (event->has_user)
        name->users += keyset_add(&group->users, secret, &event->user, bit);
    if (!name->is_touched) {
        name->is_touched = true;
        day->touched_count++;
    }
}

void day_prefetch(const struct day *day, const struct day_event *event)
{
    const struct day_group *group = group_of(day, event->name);
    if (event->has_session)
        keyset_prefetch(&group->sessions, &day->identity->key_secret, event->session);
    if (event->has_user)
        keyset_prefetch(&group->users, &day->identity->key_secret, &event->user);
}

void day_mark_written(struct day *day)
{
    for (uint32_t i = 0; i < day->name_count && day->touched_count > 0; i++) {
        day->touched_count -= day->names[i].is_touched;
        day->names[i].is_touched = false;
    }
}
