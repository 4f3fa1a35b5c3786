/* key_changes.c - a table of the day's keys that other days' keys are looked up in.
 *
 * Invariant: for each key, subject and population that changed, exactly one earlier day or "never" is added to the cells, and
 * exactly one later day or none corrected: a subject is open until its day is found, and closed by it. A key that is seen by
 * external and internal events of a day meets it once or twice, and counts in POPULATION_ALL once either way, because the first
 * meeting closes the subject.
 *
 * Earlier days are by far the most of the work (all keys of a day that is closed), and each adds to one column of the matrix only:
 * they are counted in an array and added when the day has passed. Later days correct pairs of days, key by key: there p is looked
 * up in what was found.
 *
 * Rejected: the last day of each key and subject as an array in the key (384 bytes a key, for the few days that have days behind
 * them).
 */
#include "aggregator/key_changes.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum { FIRST_CAPACITY = 256, FIRST_FOUND = 64 };

void key_changes_init(struct key_changes *changes, struct unique_cells *cells, uint64_t seed, size_t found_most)
{
    *changes =
        (struct key_changes){.cells = cells, .seed = seed, .found_most = found_most < UINT32_MAX ? found_most : UINT32_MAX - 1};
}

void key_changes_free(struct key_changes *changes)
{
    free(changes->keys);
    free(changes->found);
    changes->keys = NULL;
    changes->found = NULL;
    changes->capacity = changes->used = changes->found_room = changes->found_count = 0;
}

void key_changes_reset(struct key_changes *changes, int32_t day)
{
    if (changes->keys)
        memset(changes->keys, 0, changes->capacity * sizeof *changes->keys);
    memset(changes->passed, 0, sizeof changes->passed);
    changes->used = changes->open_count = changes->change_count = changes->found_count = 0;
    changes->has_passed = changes->is_behind = false;
    changes->day = day;
}

/* The key's entry, or the free one where it belongs. */
static struct changed_key *find(const struct key_changes *changes, const uint64_t key[2])
{
    size_t at = XXH3_64bits_withSeed(key, 16, changes->seed) & (changes->capacity - 1);
    for (;; at = (at + 1) & (changes->capacity - 1)) { /* ends: a quarter is free */
        struct changed_key *entry = &changes->keys[at];
        if (!entry->is_used || (entry->key[0] == key[0] && entry->key[1] == key[1]))
            return entry;
    }
}

static bool grow(struct key_changes *changes)
{
    struct key_changes grown = *changes;
    grown.capacity = changes->capacity ? 2 * changes->capacity : FIRST_CAPACITY;
    grown.keys = calloc(grown.capacity, sizeof *grown.keys);
    if (!grown.keys)
        return false;
    for (size_t i = 0; i < changes->capacity; i++)
        if (changes->keys[i].is_used)
            *find(&grown, changes->keys[i].key) = changes->keys[i];
    free(changes->keys);
    *changes = grown;
    return true;
}

bool key_changes_put(struct key_changes *changes, const struct seen_key *key, enum key_time time)
{
    if (4 * changes->used >= 3 * changes->capacity && !grow(changes))
        return false;
    struct changed_key *entry = find(changes, key->key);
    if (!entry->is_used) {
        *entry = (struct changed_key){.key = {key->key[0], key->key[1]}, .slot = key->slot, .is_used = true};
        changes->used++;
    }
    for (unsigned side = 0; side < SEEN_SIDES; side++)
        entry->seen[time][side] |= key->seen[side];
    return true;
}

bool key_changes_is_to_go(const struct key_changes *changes, const uint64_t key[2])
{
    const struct changed_key *entry = changes->capacity ? find(changes, key) : NULL;
    return entry && entry->is_used && (entry->seen[KEY_NOW][SEEN_EXTERNAL] | entry->seen[KEY_NOW][SEEN_INTERNAL]) == 0;
}

/* The subjects of a population, from those of its two sides. */
static inline uint64_t of_population(const uint64_t seen[SEEN_SIDES], unsigned population)
{
    return population == POPULATION_EXTERNAL   ? seen[SEEN_EXTERNAL]
           : population == POPULATION_INTERNAL ? seen[SEEN_INTERNAL]
                                               : seen[SEEN_EXTERNAL] | seen[SEEN_INTERNAL];
}

/* Opens what changed of each key. */
static void open_all(struct key_changes *changes)
{
    changes->open_count = 0;
    for (size_t i = 0; i < changes->capacity; i++) {
        struct changed_key *entry = &changes->keys[i];
        uint64_t any = 0;
        for (unsigned population = 0; population < POPULATIONS && entry->is_used; population++) {
            entry->open[population] =
                of_population(entry->seen[KEY_BEFORE], population) ^ of_population(entry->seen[KEY_NOW], population);
            any |= entry->open[population];
        }
        changes->open_count += any != 0;
    }
}

void key_changes_begin(struct key_changes *changes)
{
    open_all(changes);
    changes->change_count = changes->open_count;
}

/* What its coming (or going) adds for this subject. */
static inline int sign_of(const struct changed_key *entry, unsigned population, unsigned subject)
{
    return of_population(entry->seen[KEY_NOW], population) >> subject & 1 ? 1 : -1;
}

static bool remember(struct key_changes *changes, struct changed_key *entry, int32_t day, const uint64_t hits[POPULATIONS])
{
    if (changes->found_count == changes->found_room) {
        size_t room = changes->found_room ? 2 * changes->found_room : FIRST_FOUND;
        room = room < changes->found_most ? room : changes->found_most;
        struct found_day *wider = room > changes->found_room ? realloc(changes->found, room * sizeof *wider) : NULL;
        if (!wider)
            return false;
        changes->found = wider;
        changes->found_room = room;
    }
    struct found_day *found = &changes->found[changes->found_count++];
    *found = (struct found_day){.next = entry->found, .day = day};
    memcpy(found->subjects, hits, sizeof found->subjects);
    entry->found = (uint32_t)changes->found_count;
    return true;
}

/* The first later day of these subjects: from the day before `day` (one that was found, or never), it now goes to changes->day, or
 * back. */
static bool correct(struct key_changes *changes, const struct changed_key *entry, int32_t day, unsigned population,
                    uint64_t subjects)
{
    const struct found_day *found = entry->found ? &changes->found[entry->found - 1] : NULL;
    for (;; found = found->next ? &changes->found[found->next - 1] : NULL) { /* ends: with the days that were found */
        uint64_t here = found ? subjects & found->subjects[population] : subjects;
        subjects &= ~here;
        for (; here; here &= here - 1) {
            const unsigned subject = (unsigned)__builtin_ctzll(here);
            const int sign = sign_of(entry, population, subject);
            if (!unique_cells_add(changes->cells, subject, population, day, found ? found->day : DAY_NEVER, -sign) ||
                !unique_cells_add(changes->cells, subject, population, day, changes->day, sign))
                return false;
        }
        if (!found || subjects == 0)
            return true;
    }
}

bool key_changes_meet(struct key_changes *changes, int32_t day, const struct seen_key *key, bool has_later)
{
    struct changed_key *entry = changes->capacity ? find(changes, key->key) : NULL;
    if (!entry || !entry->is_used)
        return true;
    uint64_t hits[POPULATIONS], any = 0, left = 0;
    for (unsigned population = 0; population < POPULATIONS; population++) {
        hits[population] = entry->open[population] & of_population(key->seen, population);
        entry->open[population] &= ~hits[population];
        any |= hits[population];
        left |= entry->open[population];
    }
    if (any == 0)
        return true;
    changes->open_count -= left == 0;
    for (unsigned population = 0; population < POPULATIONS; population++) {
        if (changes->is_behind && hits[population] && !correct(changes, entry, day, population, hits[population]))
            return false;
        for (uint64_t rest = changes->is_behind ? 0 : hits[population]; rest; rest &= rest - 1) {
            const unsigned subject = (unsigned)__builtin_ctzll(rest);
            changes->passed[population][subject] += sign_of(entry, population, subject);
        }
    }
    changes->has_passed = !changes->is_behind;
    return changes->is_behind || !has_later || remember(changes, entry, day, hits);
}

bool key_changes_pass(struct key_changes *changes, int32_t day)
{
    for (unsigned population = 0; population < POPULATIONS && changes->has_passed && !changes->is_rowless; population++)
        for (unsigned subject = 0; subject < 64; subject++) {
            const int64_t keys = changes->passed[population][subject];
            if (keys != 0 && !unique_cells_add(changes->cells, subject, population, changes->day, day, keys))
                return false;
        }
    if (changes->has_passed)
        memset(changes->passed, 0, sizeof changes->passed);
    changes->has_passed = false;
    return true;
}

bool key_changes_turn(struct key_changes *changes)
{
    for (size_t i = 0; i < changes->capacity && changes->open_count > 0; i++) {
        const struct changed_key *entry = &changes->keys[i];
        for (unsigned population = 0; population < POPULATIONS && entry->is_used; population++)
            for (uint64_t rest = entry->open[population]; rest; rest &= rest - 1) {
                const unsigned subject = (unsigned)__builtin_ctzll(rest);
                changes->passed[population][subject] += sign_of(entry, population, subject);
                changes->has_passed = true;
            }
    }
    if (!key_changes_pass(changes, DAY_NEVER))
        return false;
    changes->is_behind = true;
    open_all(changes);
    return true;
}

struct seen_key *key_changes_now(const struct key_changes *changes, size_t *count)
{
    struct seen_key *keys = malloc(changes->used * sizeof *keys + 1);
    *count = 0;
    for (size_t i = 0; keys && i < changes->capacity; i++) {
        const struct changed_key *entry = &changes->keys[i];
        if (entry->is_used && (entry->seen[KEY_NOW][SEEN_EXTERNAL] | entry->seen[KEY_NOW][SEEN_INTERNAL]) != 0)
            keys[(*count)++] = (struct seen_key){.key = {entry->key[0], entry->key[1]},
                                                 .seen = {entry->seen[KEY_NOW][SEEN_EXTERNAL], entry->seen[KEY_NOW][SEEN_INTERNAL]},
                                                 .slot = entry->slot};
    }
    if (keys)
        qsort(keys, *count, sizeof *keys, key_list_order);
    return keys;
}
