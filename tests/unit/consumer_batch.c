/* consumer_batch.c - rows, ranges and counts of a batch. Messages are made by hand: librdkafka's own destroy and timestamp are
 * wrapped (linker option --wrap), because it makes messages only from a broker. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/tuple.h"
#include "consumer/batch.h"
#include "consumer/insert.h"
#include "consumer/ledger.h"
#include "consumer_event.h"

static int messages_alive;

rd_kafka_resp_err_t __wrap_rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **headers);

rd_kafka_resp_err_t __wrap_rd_kafka_message_headers(const rd_kafka_message_t *message, rd_kafka_headers_t **headers)
{
    (void)message;
    (void)headers;
    return RD_KAFKA_RESP_ERR__NOENT;
}

void __wrap_rd_kafka_message_destroy(rd_kafka_message_t *message);
int64_t __wrap_rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *kind);

void __wrap_rd_kafka_message_destroy(rd_kafka_message_t *message)
{
    messages_alive--;
    free(message->payload);
    free(message);
}

int64_t __wrap_rd_kafka_message_timestamp(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *kind)
{
    (void)message;
    *kind = RD_KAFKA_TIMESTAMP_CREATE_TIME;
    return JANUARY_15_US / 1000;
}

/* Event number `number`: its id ends in it; a negative number makes a bad one. */
static rd_kafka_message_t *message_make(int32_t topic_partition, int64_t offset, int number)
{
    uint8_t event[512];
    rd_kafka_message_t *message = calloc(1, sizeof *message);
    message->len = event_pack(event);
    uint8_t *id = (uint8_t *)memmem(event, message->len, "\xc4\x10", 2) + 2;
    id[12] = (uint8_t)(number >> 8);
    id[13] = (uint8_t)number;
    if (number < 0)
        message->len--;
    message->payload = malloc(message->len);
    memcpy(message->payload, event, message->len);
    message->partition = topic_partition;
    message->offset = offset;
    messages_alive++;
    return message;
}

static struct transcoder *reader;
static struct batch *batch;
static struct error err;

static void set_up(void)
{
    reader = reader_make((struct transcode_rules){0});
    batch = batch_new(64, 1 << 20, &err);
    cr_assert_not_null(batch);
}

static void tear_down(void)
{
    batch_free(batch);
    transcoder_free(reader);
    cr_assert_eq(messages_alive, 0, "every message is destroyed once");
}

TestSuite(batch, .init = set_up, .fini = tear_down);

static void add(int32_t topic_partition, int64_t offset, int number, int64_t next_offset)
{
    cr_assert(batch_add(batch, reader, message_make(topic_partition, offset, number), next_offset, &err));
}

/* The invariant of every range, and of the batch. */
static void check(void)
{
    int64_t stored = 0, dead = 0;
    for (int i = 0; i < batch->range_count; i++) {
        const struct batch_range *range = &batch->ranges[i];
        cr_assert_eq(range->next_offset - range->first_offset,
                     range->stored + range->duplicates + range->dead_letters + range->skipped);
        stored += range->stored;
        dead += range->dead_letters;
    }
    cr_assert_eq(stored, batch->row_count);
    cr_assert_eq(dead, batch->dead_count);
    size_t at = COPY_HEADER_BYTES;
    for (int row = 0; row < batch->row_count; row++) {
        cr_assert_eq(batch->rows[row].start, at, "tuples lie back to back");
        at += batch->rows[row].length;
        cr_assert_eq(batch_find_row(batch, batch_row_id(batch, row), batch_row_created_at(batch, row)), row);
        cr_assert_eq(batch->ranges[batch->rows[row].range].topic_partition, batch_original(batch, row).topic_partition);
    }
    cr_assert_eq(batch->used, at);
}

Test(batch, covers_every_offset_it_was_given_with_one_outcome)
{
    add(3, 10, 1, 10);
    add(3, 11, -1, 11);
    add(3, 12, 1, 12); /* number 1 again */
    add(3, 20, 2, 13); /* seven offsets that Kafka did not deliver */
    add(0, 5, 3, 5);
    cr_assert(batch_skip(batch, 0, 6, 9, &err));
    check();
    const struct batch_range *range = batch_find_range(batch, 3);
    cr_assert_eq(range->first_offset, 10);
    cr_assert_eq(range->next_offset, 21);
    cr_assert_eq(range->stored, 2);
    cr_assert_eq(range->dead_letters, 1);
    cr_assert_eq(range->duplicates, 1);
    cr_assert_eq(range->skipped, 7);
    cr_assert_eq(range->anchor_offset, 20, "the last message, not the last offset");
    cr_assert_eq(range->day_count, 1);
    cr_assert_eq(batch_find_range(batch, 0)->next_offset, 9);
    cr_assert_eq(batch_find_range(batch, 0)->anchor_offset, 5);
}

/* The hash that a message of that number must leave, whatever became of it. */
static void expect_anchor(int32_t topic_partition, int number)
{
    uint8_t hash[ANCHOR_HASH_BYTES];
    rd_kafka_message_t *message = message_make(topic_partition, 0, number);
    anchor_hash(hash, message->payload, message->len);
    __wrap_rd_kafka_message_destroy(message);
    cr_assert_eq(memcmp(batch_find_range(batch, topic_partition)->anchor_hash, hash, sizeof hash), 0, "topic partition %d",
                 topic_partition);
}

Test(batch, sealed_has_the_hash_of_each_last_message_row_dead_letter_or_duplicate)
{
    add(5, 0, 1, 0);
    add(5, 1, 2, 1);
    add(4, 0, 3, 0);
    add(4, 1, -4, 1);
    add(3, 0, 5, 0);
    add(3, 1, 6, 1);
    add(3, 2, 5, 2);
    batch_seal(batch);
    expect_anchor(5, 2);
    expect_anchor(4, -4);
    expect_anchor(3, 5);
    add(5, 2, 7, 2); /* and sealed again when more came */
    batch_seal(batch);
    expect_anchor(5, 7);
    expect_anchor(3, 5);
    check();
}

Test(batch, is_full_at_its_number_of_events_dead_letters_included)
{
    for (int i = 0; i < 63; i++)
        add(0, i, i % 2 ? i : -1, i);
    cr_assert_not(batch_is_full(batch));
    add(0, 63, 63, 63);
    cr_assert(batch_is_full(batch));
    check();
    batch_reset(batch);
    cr_assert(batch_is_empty(batch));
    cr_assert_eq(messages_alive, 0);
}

Test(batch, forgets_a_topic_partition_as_if_it_had_never_been_there)
{
    for (int i = 0; i < 30; i++)
        add(i % 3, i / 3, i % 5 ? i : -1, i / 3);
    batch_drop(batch, 1);
    check();
    cr_assert_null(batch_find_range(batch, 1));
    cr_assert_eq(batch->range_count, 2);
    batch_drop(batch, 2);
    batch_drop(batch, 0);
    check();
    cr_assert(batch_is_empty(batch));
    add(1, 0, 7, 0);
    check();
}

Test(batch, says_when_a_repeat_may_have_lost_its_only_row)
{
    add(0, 0, 7, 0);
    add(2, 0, 8, 0);
    cr_assert(batch_drop(batch, 2), "there are no repeats");
    add(1, 0, 7, 0); /* the same event in another topic partition: counted there, stored in 0 */
    cr_assert_not(batch_drop(batch, 0), "the only row of event 7 has left");
    cr_assert_eq(batch_find_range(batch, 1)->duplicates, 1);
}

Test(batch, turns_a_row_into_a_dead_letter_with_its_message)
{
    for (int i = 0; i < 10; i++)
        add(0, i, i, i);
    cr_assert(batch_kill_row(batch, 4, REASON_REFUSED, "23514: no", &err));
    cr_assert(batch_kill_row(batch, 5, REASON_REFUSED, "23514: no", &err), "numbers stay until the batch is compacted");
    batch_compact(batch);
    check();
    cr_assert_eq(batch->row_count, 8);
    cr_assert_eq(batch->dead[1].original.offset, 5);
    cr_assert_eq(batch->dead[0].original.offset, 4);
    cr_assert_str_eq(batch->dead[0].detail, "23514: no");
}

Test(batch, sorts_its_ranges_and_keeps_rows_with_them)
{
    add(5, 0, 1, 0);
    add(2, 0, 2, 0);
    add(9, 0, -1, 0);
    add(2, 1, 3, 1);
    batch_seal(batch);
    cr_assert_eq(batch->ranges[0].topic_partition, 2);
    cr_assert_eq(batch->ranges[2].topic_partition, 9);
    check();
    add(5, 1, 4, 1);
    check();
}

Test(batch, carries_its_id_in_every_tuple)
{
    add(0, 0, 1, 0);
    add(0, 1, 2, 1);
    const size_t second = batch->rows[1].start;
    cr_assert_eq(batch_set_id(batch, 0, second, 1), 1, "one that begins at the end is not meant");
    cr_assert_eq(batch_set_id(batch, 1, second + 1, 1), 2, "one that begins before it is, wherever it ends");
    cr_assert_eq(batch_set_id(batch, 0, batch->used, 0x0102030405060708), 2, "another attempt has another id");
    for (int row = 0; row < 2; row++)
        cr_assert_eq(memcmp(batch->bytes + batch->rows[row].start + TUPLE_BATCH_ID, "\1\2\3\4\5\6\7\10", 8), 0);
}

Test(batch, tells_the_fence_what_it_holds)
{
    add(1, 0, 1, 0);
    add(1, 1, -1, 1);
    batch->ranges[0].epoch = 7;
    cr_assert(batch_skip(batch, 4, 50, 60, &err));
    batch->ranges[1].epoch = 8;
    char *sql = ledger_commit_sql("t", 33, batch);
    cr_assert_not_null(
        strstr(sql,
               "tallymill.commit_batch(33, 't', '{1,4}'::integer[], '{7,8}'::bigint[], '{0,50}'::bigint[], '{2,60}'::bigint[], "
               "'{1,0}'::bigint[], '{0,0}'::bigint[], '{1,0}'::bigint[], '{0,10}'::bigint[], "
               "'{\"{2026-01-15}\",\"{}\"}'::text[], ARRAY[1,NULL]::bigint[], ARRAY[pg_catalog.decode('"),
        "%s", sql);
    cr_assert_not_null(strstr(sql, "', 'hex'),NULL]::pg_catalog.bytea[]), "
                                   "pg_catalog.nextval('tallymill.batch_ids'::pg_catalog.regclass); COMMIT"),
                       "%s", sql);
    free(sql);
}
