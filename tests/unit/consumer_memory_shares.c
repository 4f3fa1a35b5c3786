/* What of memory.max goes where. */
#include <criterion/criterion.h>

#include "consumer/memory_shares.h"

static const int64_t MIB = 1 << 20;

Test(memory_shares, shares_64_MiB_as_the_table_says)
{
    const struct memory_shares shares = memory_shares(64 * MIB);
    cr_expect_str_eq(shares.queue_kib, "6144");
    cr_expect_str_eq(shares.fetch_bytes, "65536");
    cr_expect_str_eq(shares.answer_bytes, "1048576");
    cr_expect_eq(shares.batch_bytes, (size_t)(4 * MIB));
}

Test(memory_shares, stays_within_what_librdkafka_takes_and_a_batch_of_256_MiB)
{
    const struct memory_shares shares = memory_shares(64 * 1024 * MIB);
    cr_expect_str_eq(shares.queue_kib, "2097151");
    cr_expect_str_eq(shares.fetch_bytes, "67108864");
    cr_expect_str_eq(shares.answer_bytes, "1073741824");
    cr_expect_eq(shares.batch_bytes, (size_t)(256 * MIB));
}
