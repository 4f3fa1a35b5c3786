/* Uniques: the rule by which a day's keys come and go keeps the matrix, against one that is counted from nothing; and lists of
 * keys, whole and damaged. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/key_changes.h"
#include "aggregator/key_list.h"
#include "aggregator/unique_cells.h"
#include "aggregator_random.h"
#include "common/error.h"

enum { DAYS = 9, KEYS = 24, SUBJECTS = 5, NEVER = 0, ROUNDS = 4000, FOUND_MOST = 4096 };

/* What was seen on each day (1..DAYS), and the matrix by day and day before. */
struct world {
    uint64_t seen[DAYS + 1][KEYS][SEEN_SIDES];
    int64_t matrix[POPULATIONS][SUBJECTS][DAYS + 1][DAYS + 1];
};

static bool has(const struct world *world, int day, int key, unsigned population, int subject)
{
    const uint64_t *seen = world->seen[day][key];
    const uint64_t bits = population == POPULATION_EXTERNAL   ? seen[0]
                          : population == POPULATION_INTERNAL ? seen[1]
                                                              : seen[0] | seen[1];
    return bits >> subject & 1;
}

static void count_anew(struct world *world)
{
    memset(world->matrix, 0, sizeof world->matrix);
    for (unsigned population = 0; population < POPULATIONS; population++)
        for (int subject = 0; subject < SUBJECTS; subject++)
            for (int key = 0; key < KEYS; key++)
                for (int day = 1, last = NEVER; day <= DAYS; day++)
                    if (has(world, day, key, population, subject)) {
                        world->matrix[population][subject][day][last]++;
                        last = day;
                    }
}

static struct seen_key key_of(int key, const uint64_t seen[SEEN_SIDES])
{
    return (struct seen_key){.key = {(uint64_t)key * 7919, (uint64_t)key}, .seen = {seen[0], seen[1]}, .slot = (uint8_t)key};
}

static bool is_seen(const uint64_t seen[SEEN_SIDES])
{
    return (seen[0] | seen[1]) != 0;
}

static void walk(struct key_changes *changes, const struct world *world, int other, bool has_later)
{
    for (int key = 0; key < KEYS; key++) {
        const struct seen_key seen = key_of(key, world->seen[other][key]);
        if (is_seen(seen.seen))
            cr_assert(key_changes_meet(changes, other, &seen, has_later));
    }
}

/* Changes one day from what it is to `now`, by the rule. */
static void change_day(struct world *world, struct key_changes *changes, int day, uint64_t now[KEYS][SEEN_SIDES])
{
    key_changes_reset(changes, day);
    unique_cells_reset(changes->cells);
    for (int key = 0; key < KEYS; key++) {
        const struct seen_key before = key_of(key, world->seen[day][key]), behind = key_of(key, now[key]);
        cr_assert(!is_seen(before.seen) || key_changes_put(changes, &before, KEY_BEFORE));
        cr_assert(!is_seen(behind.seen) || key_changes_put(changes, &behind, KEY_NOW));
    }
    key_changes_begin(changes);
    for (int other = day - 1; other >= 1 && key_changes_is_open(changes); other--) {
        walk(changes, world, other, day < DAYS);
        cr_assert(key_changes_pass(changes, other));
    }
    cr_assert(key_changes_turn(changes));
    for (int other = day + 1; other <= DAYS && key_changes_is_open(changes); other++)
        walk(changes, world, other, true);
    memcpy(world->seen[day], now, sizeof world->seen[day]);
    for (size_t i = 0; i < changes->cells->capacity; i++) {
        const struct unique_cell *cell = &changes->cells->cells[i];
        if (cell->is_used)
            world->matrix[cell->population][cell->subject][cell->day][cell->previous == DAY_NEVER ? NEVER : cell->previous] +=
                cell->keys;
    }
}

static uint64_t some_subjects(uint64_t *state)
{
    return next_random(state) & next_random(state) & ((1 << SUBJECTS) - 1);
}

/* A key comes, goes, or is seen under other subjects; now and then the whole day is another one, or empty. */
static void next_state(uint64_t *state, const struct world *world, int day, uint64_t now[KEYS][SEEN_SIDES])
{
    const unsigned kind = (unsigned)(next_random(state) % 20);
    memcpy(now, world->seen[day], sizeof world->seen[day]);
    for (int key = 0; key < KEYS; key++) {
        if (kind > 1 && next_random(state) % 8 != 0)
            continue;
        now[key][SEEN_EXTERNAL] = kind == 0 ? 0 : some_subjects(state);
        now[key][SEEN_INTERNAL] = kind == 0 || next_random(state) % 2 ? 0 : some_subjects(state);
    }
}

static void compare_ranges(const struct world *world, int round)
{
    for (unsigned population = 0; population < POPULATIONS; population++)
        for (int first = 1; first <= DAYS; first++)
            for (int last = first; last <= DAYS; last++) {
                const int subject = (round + first + last) % SUBJECTS;
                int64_t raw = 0, summed = 0;
                for (int key = 0; key < KEYS; key++) {
                    bool is_any = false;
                    for (int day = first; day <= last; day++)
                        is_any = is_any || has(world, day, key, population, subject);
                    raw += is_any;
                }
                for (int day = first; day <= last; day++)
                    for (int previous = NEVER; previous < first; previous++)
                        summed += world->matrix[population][subject][day][previous];
                cr_assert_eq(raw, summed, "round %d, days %d to %d", round, first, last);
            }
}

Test(uniques, the_rule_of_coming_and_going_leaves_the_matrix_that_is_counted_from_nothing)
{
    static struct world world, anew;
    uint64_t state = 20261129;
    struct unique_cells cells = {0};
    struct key_changes changes;
    key_changes_init(&changes, &cells, 42, FOUND_MOST);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t now[KEYS][SEEN_SIDES];
        const int day = 1 + (int)(next_random(&state) % DAYS);
        next_state(&state, &world, day, now);
        change_day(&world, &changes, day, now);
        anew = world;
        count_anew(&anew);
        cr_assert(memcmp(anew.matrix, world.matrix, sizeof anew.matrix) == 0, "round %d", round);
        compare_ranges(&world, round);
    }
    key_changes_free(&changes);
    unique_cells_free(&cells);
}

Test(uniques, more_days_than_may_be_remembered_are_refused)
{
    struct unique_cells cells = {0};
    struct key_changes changes;
    const struct seen_key both = {.key = {1, 2}, .seen = {3, 0}}, one = {.key = {1, 2}, .seen = {1, 0}},
                          other = {.key = {1, 2}, .seen = {2, 0}};
    key_changes_init(&changes, &cells, 42, 1);
    key_changes_reset(&changes, 5);
    cr_assert(key_changes_put(&changes, &both, KEY_NOW));
    key_changes_begin(&changes);
    cr_expect(key_changes_meet(&changes, 4, &one, true));
    cr_expect_not(key_changes_meet(&changes, 3, &other, true));
    key_changes_free(&changes);
    unique_cells_free(&cells);
}

static int64_t keys_of(const struct unique_cells *cells, unsigned subject, int32_t day, int32_t previous)
{
    for (size_t i = 0; i < cells->capacity; i++) {
        const struct unique_cell *cell = &cells->cells[i];
        if (cell->is_used && cell->population == POPULATION_ALL && cell->subject == subject && cell->day == day &&
            cell->previous == previous)
            return cell->keys;
    }
    return 0;
}

Test(uniques, a_day_without_rows_of_its_own_corrects_later_days_and_keys_may_go_from_it)
{
    struct unique_cells cells = {0};
    struct key_changes changes;
    const struct seen_key comes = {.key = {1, 2}, .seen = {1, 0}}, goes = {.key = {3, 4}, .seen = {2, 0}}, none = {.key = {3, 4}};
    key_changes_init(&changes, &cells, 42, FOUND_MOST);
    cr_expect_not(key_changes_is_to_go(&changes, none.key));
    key_changes_reset(&changes, 1);
    changes.is_rowless = true;
    cr_assert(key_changes_put(&changes, &comes, KEY_NOW) && key_changes_put(&changes, &none, KEY_NOW));
    cr_expect(key_changes_is_to_go(&changes, goes.key));
    cr_expect_not(key_changes_is_to_go(&changes, comes.key));
    cr_assert(key_changes_put(&changes, &goes, KEY_BEFORE));
    cr_expect(key_changes_is_to_go(&changes, goes.key), "it is before, and not now");
    key_changes_begin(&changes);
    cr_assert(key_changes_turn(&changes));
    cr_assert(key_changes_meet(&changes, 5, &comes, true) && key_changes_meet(&changes, 5, &goes, true));
    cr_expect_eq(keys_of(&cells, 0, 1, DAY_NEVER), 0);
    cr_expect_eq(keys_of(&cells, 1, 1, DAY_NEVER), 0);
    cr_expect_eq(keys_of(&cells, 0, 5, 1), 1);
    cr_expect_eq(keys_of(&cells, 0, 5, DAY_NEVER), -1);
    cr_expect_eq(keys_of(&cells, 1, 5, 1), -1);
    cr_expect_eq(keys_of(&cells, 1, 5, DAY_NEVER), 1);
    key_changes_free(&changes);
    unique_cells_free(&cells);
}

static size_t make_keys(struct seen_key *keys, size_t most, enum key_kind kind, uint64_t *state)
{
    const size_t count = next_random(state) % most;
    for (size_t i = 0; i < count; i++) {
        const uint64_t number = next_random(state);
        keys[i] = (struct seen_key){
            .key = {kind == KEY_USER && number % 2 ? number % 100000 : number, kind == KEY_USER ? 0 : next_random(state)},
            .seen = {next_random(state), number % 3 ? 0 : next_random(state)},
            .slot = (uint8_t)next_random(state)};
    }
    qsort(keys, count, sizeof *keys, key_list_order);
    return count;
}

Test(key_list, gives_back_the_keys_that_it_was_given)
{
    static struct seen_key keys[2000];
    struct key_bytes bytes = {0}, unpacked = {0};
    struct error err = {0};
    uint64_t state = 7;
    for (int round = 0; round < 200; round++) {
        const enum key_kind kind = round % 2 ? KEY_USER : KEY_SESSION;
        const size_t count = make_keys(keys, round < 4 ? 2 : 2000, kind, &state);
        struct key_reader reader;
        struct seen_key key;
        size_t read = 0;
        cr_assert(key_list_pack(&bytes, kind, keys, count, &err));
        cr_assert(key_list_open(&reader, &unpacked, kind, bytes.packed, bytes.packed_length, &err), "%s", err.text);
        for (; key_list_next(&reader, &key, &err); read++)
            cr_assert(key_list_order(&key, &keys[read]) == 0 && memcmp(key.seen, keys[read].seen, sizeof key.seen) == 0);
        cr_assert_eq(read, count);
        cr_assert_eq(err.kind, ERROR_NONE);
    }
    key_bytes_free(&bytes);
    key_bytes_free(&unpacked);
}

/* Reads all of it, whatever it is; the sanitizers watch. True: as a list of so many keys. */
static bool read_all(struct key_bytes *unpacked, enum key_kind kind, const uint8_t *packed, size_t length, size_t count)
{
    struct key_reader reader;
    struct seen_key key;
    struct error err = {0};
    size_t read = 0;
    if (!key_list_open(&reader, unpacked, kind, packed, length, &err))
        return false;
    while (key_list_next(&reader, &key, &err))
        cr_assert(++read <= count + 255);
    return err.kind == ERROR_NONE && read == count;
}

Test(key_list, refuses_bytes_that_are_cut_off_or_another_kind_and_reads_no_further_than_they_go)
{
    static struct seen_key keys[100];
    struct key_bytes bytes = {0}, unpacked = {0};
    struct error err = {0};
    uint64_t state = 11;
    for (int round = 0; round < 20; round++) {
        const enum key_kind kind = round % 2 ? KEY_USER : KEY_SESSION;
        const size_t count = make_keys(keys, 100, kind, &state);
        cr_assert(key_list_pack(&bytes, kind, keys, count, &err));
        for (size_t length = 0; length < bytes.packed_length; length++) {
            uint8_t *cut = malloc(length + !length);
            memcpy(cut, bytes.packed, length);
            cr_assert_not(read_all(&unpacked, kind, cut, length, count), "cut at %zu", length);
            free(cut);
        }
        for (size_t at = 0; at < bytes.packed_length; at++) {
            uint8_t *changed = malloc(bytes.packed_length);
            memcpy(changed, bytes.packed, bytes.packed_length);
            changed[at] ^= (uint8_t)(1 + next_random(&state) % 255);
            read_all(&unpacked, kind, changed, bytes.packed_length, SIZE_MAX / 2);
            free(changed);
        }
        cr_assert(count == 0 ||
                  !read_all(&unpacked, kind == KEY_USER ? KEY_SESSION : KEY_USER, bytes.packed, bytes.packed_length, count));
    }
    key_bytes_free(&bytes);
    key_bytes_free(&unpacked);
}
