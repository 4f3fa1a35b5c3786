/* Large blocks beyond a budget lie in a file. */
#include <criterion/criterion.h>
#include <string.h>

#include "consumer/spill.h"

enum { MIB = 1 << 20 };

static void open_spill(void)
{
    cr_assert(spill_open(8 * MIB, "/tmp"));
}

Test(spill, leaves_to_memory_what_the_budget_has_room_for, .init = open_spill, .fini = spill_close)
{
    cr_expect_null(spill_take(8 * MIB));
    spill_count_memory(7 * MIB);
    cr_expect_null(spill_take(MIB));
    void *beyond = spill_take(2 * MIB);
    cr_assert_not_null(beyond);
    spill_count_memory(-7 * MIB);
    cr_expect_null(spill_take(8 * MIB), "what was given back counts no more");
    cr_expect(spill_give(beyond));
}

Test(spill, never_takes_a_small_block, .init = open_spill, .fini = spill_close)
{
    spill_count_memory(100 * MIB);
    cr_expect_null(spill_take(SPILL_LEAST_BYTES - 1));
}

Test(spill, gives_zeroed_blocks_that_hold_what_is_written, .init = open_spill, .fini = spill_close)
{
    static const size_t sizes[] = {9 * MIB, 9 * MIB + 1, 40 * MIB};
    unsigned char *blocks[3];
    int64_t all = 0;
    for (int i = 0; i < 3; i++) {
        blocks[i] = spill_take(sizes[i]);
        cr_assert_not_null(blocks[i]);
        cr_expect_eq(blocks[i][0] + blocks[i][sizes[i] - 1], 0);
        memset(blocks[i], i + 1, sizes[i]);
        cr_expect_eq(spill_size(blocks[i]), sizes[i]);
        all += (int64_t)sizes[i];
    }
    cr_expect_eq(spill_bytes(), all);
    cr_expect(spill_give(blocks[1]));
    for (int i = 0; i < 3; i += 2)
        cr_expect(blocks[i][0] == i + 1 && blocks[i][sizes[i] - 1] == i + 1);
    cr_expect(spill_give(blocks[0]));
    cr_expect(spill_give(blocks[2]));
    cr_expect_eq(spill_bytes(), 0);
    unsigned char *again = spill_take(9 * MIB);
    cr_expect_eq(again[0] + again[9 * MIB - 1], 0, "the file began anew");
    cr_expect(spill_give(again));
    cr_expect_eq(spill_total_bytes(), all + 9 * MIB);
}

Test(spill, knows_no_block_of_others, .init = open_spill, .fini = spill_close)
{
    static _Alignas(4096) char page[4096];
    void *ours = spill_take(9 * MIB);
    cr_expect_not(spill_give(page));
    cr_expect_not(spill_give(page + 16));
    cr_expect_eq(spill_size(page), 0);
    cr_expect(spill_give(ours));
    cr_expect_not(spill_give(ours));
}

Test(spill, leaves_all_to_memory_where_no_file_can_be_made)
{
    cr_expect_not(spill_open(MIB, "/proc"));
    cr_expect_null(spill_take(9 * MIB));
}
