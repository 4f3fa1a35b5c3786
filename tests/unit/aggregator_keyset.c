/* Key sets: exact under growth, against a set that is nothing but a sorted array. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/budget.h"
#include "aggregator/keyset.h"
#include "aggregator_random.h"

static const struct keyset_secret secret = {{UINT64_C(0x1234567890abcdef), 2, 3, UINT64_C(0x9e3779b97f4a7c15)}};
static const struct keyset_secret no_secret = {{0}}; /* every key has the same home: the worst that can happen */

static struct budget plenty(void)
{
    return (struct budget){.max_bytes = SIZE_MAX / 2};
}

static bool add(struct keyset *set, const struct keyset_secret *with, struct budget *budget, const uint64_t *key, unsigned name)
{
    if (!keyset_has_room(set))
        cr_assert(keyset_grow(set, with, budget));
    return keyset_add(set, with, key, name);
}

struct seen {
    uint64_t key[2];
    unsigned name;
};

static int by_value(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct seen));
}

/* How many different (key, name) pairs there are. Sorts them. */
static size_t count_distinct(struct seen *pairs, size_t count)
{
    qsort(pairs, count, sizeof *pairs, by_value);
    size_t distinct = 0;
    for (size_t i = 0; i < count; i++)
        distinct += i == 0 || memcmp(&pairs[i], &pairs[i - 1], sizeof *pairs) != 0;
    return distinct;
}

static void compare_with_oracle(unsigned key_words, size_t count, uint32_t keys, const struct keyset_secret *with)
{
    struct budget budget = plenty();
    struct keyset set;
    keyset_init(&set, key_words);
    struct seen *pairs = calloc(count, sizeof *pairs);
    uint64_t state = count;
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t number = random_below(&state, keys);
        pairs[i].key[0] = number % 3 ? number : 0; /* zero is a key like any other */
        pairs[i].key[1] = key_words == 2 ? number / 7 : 0;
        pairs[i].name = random_below(&state, KEYSET_NAMES);
        added += add(&set, with, &budget, pairs[i].key, pairs[i].name);
    }
    cr_expect_eq(added, count_distinct(pairs, count));
    for (size_t i = 0; i < count; i++)
        pairs[i].name = 0;
    cr_expect_eq(set.used, count_distinct(pairs, count));
    keyset_reset(&set, &budget);
    cr_expect_eq(budget.used_bytes, 0);
    free(pairs);
}

Test(keyset, counts_each_pair_of_key_and_name_once_as_it_grows)
{
    compare_with_oracle(2, 200000, 30000, &secret);
    compare_with_oracle(1, 200000, 30000, &secret);
}

Test(keyset, stays_exact_when_all_keys_collide)
{
    compare_with_oracle(2, 4000, 900, &no_secret);
    compare_with_oracle(1, 4000, 900, &no_secret);
}

Test(keyset, that_the_budget_refuses_to_grow_is_as_before)
{
    struct budget budget = {.max_bytes = 6000};
    struct keyset set;
    keyset_init(&set, 2);
    uint64_t key[2] = {0, 1};
    while (keyset_has_room(&set) || keyset_grow(&set, &secret, &budget)) {
        cr_assert(keyset_add(&set, &secret, key, 5));
        key[0]++;
    }
    size_t used = set.used, bytes = budget.used_bytes;
    cr_expect_gt(used, 50);
    cr_expect_leq(bytes, budget.max_bytes);
    for (uint64_t i = 0; i < key[0]; i++)
        cr_expect_not(keyset_add(&set, &secret, (uint64_t[2]){i, 1}, 5));
    cr_expect_eq(set.used, used);
    keyset_reset(&set, &budget);
    cr_expect_eq(budget.used_bytes, 0);
}

Test(keyset, prefetches_in_an_empty_set_without_harm)
{
    struct keyset set;
    keyset_init(&set, 1);
    keyset_prefetch(&set, &secret, &(uint64_t){7});
    cr_expect_not(keyset_has_room(&set));
}
