/* producer_keys.c - keys.c: a key is used once per map, whatever its number. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "producer/library/keys.h"

static enum keys_answer add(struct keys *keys, const uint8_t *bytes, uint32_t map, size_t position, size_t length)
{
    return keys_add(keys, bytes, map, position, (const char *)bytes + position, length);
}

Test(keys, tells_a_second_use_in_the_same_map_and_allows_it_in_another)
{
    struct keys keys;
    keys_init(&keys);
    const uint8_t bytes[] = "actionactionactio";
    cr_assert_eq(add(&keys, bytes, 0, 0, 6), KEYS_NEW);
    cr_assert_eq(add(&keys, bytes, 0, 6, 6), KEYS_USED);
    cr_assert_eq(add(&keys, bytes, 1, 6, 6), KEYS_NEW);
    cr_assert_eq(add(&keys, bytes, 0, 12, 5), KEYS_NEW, "a shorter key is another key");
    keys_reset(&keys);
    cr_assert_eq(add(&keys, bytes, 0, 6, 6), KEYS_NEW, "nothing is left of the event before");
    keys_free(&keys);
}

Test(keys, knows_thirty_thousand_keys_apart)
{
    static uint8_t bytes[2 * 30000 * 8];
    struct keys keys;
    keys_init(&keys);
    for (size_t i = 0; i < 30000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%07zu", i);
        memcpy(bytes + i * 8, key, 8);
        cr_assert_eq(add(&keys, bytes, 0, i * 8, 8), KEYS_NEW, "key %zu", i);
    }
    for (size_t i = 0; i < 30000; i++)
        cr_assert_eq(add(&keys, bytes, 0, i * 8, 8), KEYS_USED, "key %zu", i);
    keys_free(&keys);
}

Test(keys, knows_keys_of_every_length_apart_around_the_change_to_a_table)
{
    static uint8_t bytes[100 * 100];
    for (size_t length = 1; length < 40; length++) {
        struct keys keys;
        keys_init(&keys);
        for (size_t i = 0; i < 70; i++) { /* unlike in one byte, which is anywhere */
            memset(bytes + i * 100, 'a', length);
            bytes[i * 100 + i % length] = (uint8_t)('b' + i / length);
            cr_assert_eq(add(&keys, bytes, 3, i * 100, length), KEYS_NEW, "length %zu, key %zu", length, i);
            cr_assert_eq(add(&keys, bytes, 3, i / 2 * 100, length), KEYS_USED);
            cr_assert_eq(keys.count, i + 1);
        }
        keys_free(&keys);
    }
}

Test(keys, forgets_old_events_also_when_the_generations_run_over)
{
    struct keys keys;
    keys_init(&keys);
    static uint8_t bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) /* enough for a table */
            cr_assert_eq(add(&keys, bytes, 0, i, 1), KEYS_NEW);
        keys.generation = UINT32_MAX;
        keys_reset(&keys);
        cr_assert_eq(keys.generation, 1);
    }
    keys_free(&keys);
}
