/* consumer_start.c - where reading begins. */
#include <criterion/criterion.h>
#include <string.h>

#include "consumer/ledger.h"
#include "consumer/start.h"

static struct claim claim_at(int64_t next_offset, int64_t anchor_offset)
{
    return (struct claim){.next_offset = next_offset, .anchor_offset = anchor_offset, .anchor_hash = "fifteen letters"};
}

static void expect(struct claim claim, int64_t low, int64_t high, enum start_kind kind, int64_t offset)
{
    const struct start start = start_decide(&claim, low, high);
    cr_assert_eq(start.kind, kind);
    cr_assert_eq(start.offset, offset);
}

Test(start, a_new_topic_partition_is_read_from_the_beginning)
{
    expect(claim_at(0, -1), 0, 0, START_NEXT, 0);
    expect(claim_at(0, -1), 0, 500, START_NEXT, 0);
}

Test(start, a_log_that_began_later_starts_with_a_gap)
{
    expect(claim_at(0, -1), 40, 500, START_GAP, 40);
    expect(claim_at(30, 29), 40, 500, START_GAP, 40);
}

Test(start, the_anchor_is_read_again_where_kafka_still_has_it)
{
    expect(claim_at(100, 99), 0, 500, START_ANCHOR, 99);
    expect(claim_at(100, 99), 0, 100, START_ANCHOR, 99);
    expect(claim_at(100, 95), 0, 100, START_ANCHOR, 95);
}

Test(start, without_its_anchor_reading_begins_at_the_position)
{
    expect(claim_at(100, 95), 96, 200, START_NEXT, 100);
    expect(claim_at(100, -1), 0, 200, START_NEXT, 100);
    expect(claim_at(100, 99), 100, 200, START_NEXT, 100);
}

Test(start, a_log_that_ends_before_the_position_stops)
{
    expect(claim_at(100, 99), 0, 99, START_TRUNCATED, 100);
    expect(claim_at(1, 0), 0, 0, START_TRUNCATED, 1);
}

Test(anchor, tells_the_same_message_from_another)
{
    const struct anchor anchor = {99, "fifteen letters"};
    uint8_t other[ANCHOR_HASH_BYTES];
    memcpy(other, anchor.hash, sizeof other);
    other[15] ^= 1;
    cr_assert_eq(anchor_judge(&anchor, 99, anchor.hash), ANCHOR_MATCHES);
    cr_assert_eq(anchor_judge(&anchor, 99, other), ANCHOR_DIFFERS);
    cr_assert_eq(anchor_judge(&anchor, 100, other), ANCHOR_UNVERIFIABLE);
    cr_assert_eq(anchor_judge(&anchor, 98, anchor.hash), ANCHOR_DIFFERS);
}
