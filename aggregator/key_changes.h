/* key_changes.h - the keys of one day (or of a part of it) before and now, and what their coming and going changes in the matrix of
 * uniques.
 *
 * The rule, for a key, a subject and a population: let p be the last day before day d on which the key was seen there, n the first
 * one behind it. Entering d: the cell (d, p) grows by one, and where there is an n, (n, p) shrinks and (n, d) grows by one. Leaving
 * d: the reverse. So each other day is walked over once: first those before d, from the newest on, then those behind it, from the
 * oldest on; a key is asked for only until its day is found. Pure: no I/O. One thread.
 *
 * In this order: key_changes_put() all keys of before and of now · key_changes_begin() · of each earlier day key_changes_meet() its
 * keys, then key_changes_pass() · key_changes_turn() · the same with later days. Each returns false when there is no memory; then
 * what the cells hold is of no use.
 */
#ifndef TALLYMILL_AGGREGATOR_KEY_CHANGES_H
#define TALLYMILL_AGGREGATOR_KEY_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/key_list.h"
#include "aggregator/unique_cells.h"

enum key_time { KEY_BEFORE, KEY_NOW, KEY_TIMES };

struct changed_key {
    uint64_t key[2];
    uint64_t seen[KEY_TIMES][SEEN_SIDES];
    uint64_t open[POPULATIONS]; /* subjects that changed and whose day is not found yet */
    uint32_t found;             /* in key_changes.found: index + 1 of the last day that was found; 0: none */
    uint8_t slot;
    bool is_used;
};

/* A day before d on which a key was seen under subjects that changed. */
struct found_day {
    uint64_t subjects[POPULATIONS];
    uint32_t next; /* of the same key, as changed_key.found */
    int32_t day;
};

struct key_changes {
    struct changed_key *keys; /* open addressing */
    size_t capacity, used;
    size_t open_count;   /* keys with anything open */
    size_t change_count; /* keys that changed at all */
    struct found_day *found;
    size_t found_count, found_room, found_most;
    int64_t passed[POPULATIONS][64]; /* of the day that is being walked over, by subject */
    bool has_passed, is_behind;
    int32_t day;
    bool is_rowless; /* the day has no rows of its own in the matrix: only later days are corrected */
    uint64_t seed;
    struct unique_cells *cells; /* borrowed */
};

/* cells: where the changes go. seed: random, so that nobody outside can make keys collide. found_most: how many days of keys it may
 * remember. */
void key_changes_init(struct key_changes *changes, struct unique_cells *cells, uint64_t seed, size_t found_most);
void key_changes_free(struct key_changes *changes);

/* Empties it, keeps its memory; the keys to come are of this day. What is_rowless says stays. */
void key_changes_reset(struct key_changes *changes, int32_t day);

/* A key that the day has, or had. With no subject: one that is to go, whatever the day had. */
bool key_changes_put(struct key_changes *changes, const struct seen_key *key, enum key_time time);

/* Whether that was put of this key. */
bool key_changes_is_to_go(const struct key_changes *changes, const uint64_t key[2]);

/* All keys are put. has_later: there are days behind it, so what is found is remembered for them. */
void key_changes_begin(struct key_changes *changes);

/* A key of another day. */
bool key_changes_meet(struct key_changes *changes, int32_t day, const struct seen_key *key, bool has_later);

/* All keys of that other day were met. */
bool key_changes_pass(struct key_changes *changes, int32_t day);

/* All earlier days were passed: what is still open was not seen before. Later days follow. */
bool key_changes_turn(struct key_changes *changes);

/* Whether another day may still say something. */
static inline bool key_changes_is_open(const struct key_changes *changes)
{
    return changes->open_count > 0;
}

/* The keys that the day has now, in the order of a list; to be freed. NULL with *count 0: there are none; NULL else: no memory. */
struct seen_key *key_changes_now(const struct key_changes *changes, size_t *count);

#endif
