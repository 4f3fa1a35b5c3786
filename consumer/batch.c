/* batch.c - rows, dead letters and ranges of one transaction.
 *
 * Invariant: for every range next_offset - first_offset = stored + duplicates + dead_letters + skipped, and stored + dead_letters
 * of all ranges = row_count + dead_count. Repeats inside the batch are found here, by a hash table over (id, created_at), because
 * Postgres would refuse the whole COPY for one. Taking a topic partition or a row out is rare, so it compacts the buffer and
 * rebuilds the table rather than making every walk step over holes.
 */
#include "batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "error.h"
#include "transcode.h"
#include "uuid.h"

enum { FEWEST_SLOTS = 1024 };

static const char copy_header[COPY_HEADER_BYTES] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

struct batch *batch_new(int max_rows, size_t capacity, struct error *err)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        goto out;
    batch->max_rows = max_rows;
    batch->capacity = capacity + TRANSCODE_ROOM;
    uint32_t slots = FEWEST_SLOTS;
    while (slots < (uint32_t)max_rows * 2)
        slots *= 2;
    batch->bytes = malloc(batch->capacity);
    batch->rows = malloc((size_t)max_rows * sizeof *batch->rows);
    batch->dead = malloc((size_t)max_rows * sizeof *batch->dead);
    batch->seen = calloc(slots, sizeof *batch->seen);
    batch->seen_mask = FEWEST_SLOTS - 1;
    if (!batch->bytes || !batch->rows || !batch->dead || !batch->seen)
        goto out;
    memcpy(batch->bytes, copy_header, COPY_HEADER_BYTES);
    batch->used = COPY_HEADER_BYTES;
    return batch;
out:
    batch_free(batch);
    error_set(err, ERROR_RETRY, "no memory for a batch of %d rows", max_rows);
    return NULL;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    batch_reset(batch);
    for (int i = 0; i < batch->max_ranges; i++)
        free(batch->ranges[i].days);
    free(batch->ranges);
    free(batch->seen);
    free(batch->dead);
    free(batch->rows);
    free(batch->bytes);
    free(batch);
}

void batch_reset(struct batch *batch)
{
    for (int i = 0; i < batch->row_count; i++)
        rd_kafka_message_destroy(batch->rows[i].message);
    for (int i = 0; i < batch->dead_count; i++)
        rd_kafka_message_destroy(batch->dead[i].message);
    if (batch->row_count > 0)
        memset(batch->seen, 0, ((size_t)batch->seen_mask + 1) * sizeof *batch->seen);
    batch->row_count = batch->dead_count = batch->range_count = 0;
    batch->used = COPY_HEADER_BYTES;
    batch->message_bytes = 0;
    batch->unknown_events = batch->unknown_keys = batch->broken_attributes = 0;
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->range_count == 0;
}

bool batch_is_full(const struct batch *batch)
{
    return batch->row_count + batch->dead_count >= batch->max_rows ||
           batch->capacity - batch->used < TRANSCODE_ROOM + COPY_TRAILER_BYTES ||
           batch->message_bytes >= batch->capacity - TRANSCODE_ROOM;
}

struct batch_range *batch_find_range(const struct batch *batch, int32_t topic_partition)
{
    for (int i = 0; i < batch->range_count; i++)
        if (batch->ranges[i].topic_partition == topic_partition)
            return &batch->ranges[i];
    return NULL;
}

static struct batch_range *add_range(struct batch *batch, int32_t topic_partition, int64_t next_offset, struct error *err)
{
    struct batch_range *range = batch_find_range(batch, topic_partition);
    if (range)
        return range;
    if (batch->range_count == batch->max_ranges) {
        const int wanted = batch->max_ranges ? batch->max_ranges * 2 : 16;
        range = realloc(batch->ranges, (size_t)wanted * sizeof *range);
        if (!range) {
            error_set(err, ERROR_RETRY, "no memory for %d topic partitions in a batch", wanted);
            return NULL;
        }
        memset(range + batch->max_ranges, 0, (size_t)(wanted - batch->max_ranges) * sizeof *range);
        batch->ranges = range;
        batch->max_ranges = wanted;
    }
    range = &batch->ranges[batch->range_count++];
    int32_t *days = range->days;
    const int day_capacity = range->day_capacity;
    *range = (struct batch_range){.topic_partition = topic_partition,
                                  .first_offset = next_offset,
                                  .next_offset = next_offset,
                                  .anchor_offset = -1,
                                  .days = days,
                                  .day_capacity = day_capacity};
    return range;
}

static bool add_day(struct batch_range *range, int32_t day, struct error *err)
{
    for (int i = range->day_count; i-- > 0;)
        if (range->days[i] == day)
            return true;
    if (range->day_count == range->day_capacity) {
        const int wanted = range->day_capacity ? range->day_capacity * 2 : 8;
        int32_t *days = realloc(range->days, (size_t)wanted * sizeof *days);
        if (!days)
            return error_set(err, ERROR_RETRY, "no memory for %d days in a batch", wanted);
        range->days = days;
        range->day_capacity = wanted;
    }
    range->days[range->day_count++] = day;
    return true;
}

static uint32_t *seen_slot(const struct batch *batch, const uint8_t *id, const uint8_t *created_at)
{
    uint8_t identity[UUID_BYTES + 8];
    memcpy(identity, id, UUID_BYTES);
    memcpy(identity + UUID_BYTES, created_at, 8);
    uint32_t slot = (uint32_t)XXH3_64bits(identity, sizeof identity) & batch->seen_mask;
    while (batch->seen[slot] != 0) {
        const int row = (int)batch->seen[slot] - 1;
        if (memcmp(batch_row_id(batch, row), id, UUID_BYTES) == 0 && memcmp(batch_row_created_at(batch, row), created_at, 8) == 0)
            break;
        slot = (slot + 1) & batch->seen_mask;
    }
    return &batch->seen[slot];
}

const uint8_t *batch_row_id(const struct batch *batch, int row)
{
    return batch->bytes + batch->rows[row].start + TUPLE_ID;
}

const uint8_t *batch_row_created_at(const struct batch *batch, int row)
{
    return batch->bytes + batch->rows[row].start + TUPLE_CREATED_AT;
}

int batch_find_row(const struct batch *batch, const uint8_t *id, const uint8_t *created_at)
{
    return (int)*seen_slot(batch, id, created_at) - 1;
}

void anchor_hash(uint8_t hash[ANCHOR_HASH_BYTES], const rd_kafka_message_t *message)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(message->payload, message->payload ? message->len : 0));
    memcpy(hash, canonical.digest, ANCHOR_HASH_BYTES);
}

/* Bytes that a held message keeps in memory: value, key and headers, which are as long as a producer likes. */
static size_t message_size(const rd_kafka_message_t *message)
{
    size_t size = message->len + message->key_len;
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return size;
    const char *name;
    const void *value;
    size_t length;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        size += strlen(name) + length + 16;
    return size;
}

static void let_go(struct batch *batch, rd_kafka_message_t *message)
{
    batch->message_bytes -= message_size(message);
    rd_kafka_message_destroy(message);
}

/* After rows have left or moved: the table from the rows that remain. */
static void rebuild_seen(struct batch *batch)
{
    memset(batch->seen, 0, ((size_t)batch->seen_mask + 1) * sizeof *batch->seen);
    for (int row = 0; row < batch->row_count; row++)
        *seen_slot(batch, batch_row_id(batch, row), batch_row_created_at(batch, row)) = (uint32_t)row + 1;
}

/* At most half full, and no larger than its rows need: a table that fits the nearest cache. It was allocated for max_rows at once.
 */
static void make_slots(struct batch *batch)
{
    if ((uint32_t)batch->row_count * 2 <= batch->seen_mask)
        return;
    batch->seen_mask = batch->seen_mask * 2 + 1;
    rebuild_seen(batch);
}

static void add_dead(struct batch *batch, uint32_t range, rd_kafka_message_t *message, enum reason reason, const char *detail)
{
    struct batch_dead *dead = &batch->dead[batch->dead_count++];
    *dead = (struct batch_dead){.message = message, .range = range, .reason = reason};
    strncpy(dead->detail, detail, sizeof dead->detail - 1);
    batch->ranges[range].dead_letters++;
}

/* The tuple lies at bytes + used: keep it, unless the batch holds its id and time already. */
static bool add_row(struct batch *batch, uint32_t range_number, rd_kafka_message_t *message, const struct transcoded *event,
                    struct error *err)
{
    struct batch_range *range = &batch->ranges[range_number];
    const uint8_t *tuple = batch->bytes + batch->used;
    make_slots(batch);
    uint32_t *slot = seen_slot(batch, tuple + TUPLE_ID, tuple + TUPLE_CREATED_AT);
    if (*slot != 0) {
        range->duplicates++;
        anchor_hash(range->anchor_hash, message);
        range->anchor_message = NULL;
        let_go(batch, message);
        return true;
    }
    if (!add_day(range, event->day, err))
        return false;
    batch->rows[batch->row_count] =
        (struct batch_row){message, (uint32_t)batch->used, (uint32_t)event->length, range_number, event->day};
    *slot = (uint32_t)++batch->row_count;
    range->anchor_message = message;
    batch->used += event->length;
    range->stored++;
    batch->unknown_events += event->is_unknown_event;
    batch->unknown_keys += event->has_unknown_key;
    batch->broken_attributes += event->breaks_attributes;
    return true;
}

bool batch_add(struct batch *batch, struct transcoder *transcoder, rd_kafka_message_t *message, int64_t next_offset,
               struct error *err)
{
    assert(!batch_is_full(batch));
    struct batch_range *range = add_range(batch, message->partition, next_offset, err);
    if (!range)
        return false;
    assert(message->offset >= range->next_offset);
    rd_kafka_timestamp_type_t kind;
    const int64_t message_us = rd_kafka_message_timestamp(message, &kind) * 1000;
    const uint32_t range_number = (uint32_t)(range - batch->ranges);
    struct transcoded event;
    enum reason reason = REASON_NONE;
    const char *detail = "";
    const size_t size = message_size(message);
    if (message->key_len > WIRE_KEY_BYTES || size - message->len - message->key_len > WIRE_HEADER_BYTES) {
        reason = REASON_SIZE;
        detail = "the message's key is longer than 65536 bytes, or its headers are";
    }
    if (reason == REASON_NONE) {
        reason = transcode(transcoder, message->payload, message->len, message_us, batch->bytes + batch->used, &event);
        detail = transcoder_detail(transcoder);
    }
    const int64_t offset = message->offset;
    batch->message_bytes += size;
    if (reason != REASON_NONE) {
        add_dead(batch, range_number, message, reason, detail);
        range->anchor_message = message;
    } else if (!add_row(batch, range_number, message, &event, err)) {
        batch->message_bytes -= size;
        return false;
    }
    range->anchor_offset = offset;
    range->skipped += offset - range->next_offset;
    range->next_offset = offset + 1;
    return true;
}

bool batch_skip(struct batch *batch, int32_t topic_partition, int64_t next_offset, int64_t end, struct error *err)
{
    struct batch_range *range = add_range(batch, topic_partition, next_offset, err);
    if (!range)
        return false;
    assert(end >= range->next_offset);
    range->skipped += end - range->next_offset;
    range->next_offset = end;
    return true;
}

/* Closes the holes that rows without a message leave. */
void batch_compact(struct batch *batch)
{
    size_t used = COPY_HEADER_BYTES;
    int kept = 0;
    for (int i = 0; i < batch->row_count; i++) {
        struct batch_row row = batch->rows[i];
        if (!row.message)
            continue;
        memmove(batch->bytes + used, batch->bytes + row.start, row.length);
        row.start = (uint32_t)used;
        used += row.length;
        batch->rows[kept++] = row;
    }
    batch->row_count = kept;
    batch->used = used;
    rebuild_seen(batch);
}

bool batch_drop(struct batch *batch, int32_t topic_partition)
{
    struct batch_range *range = batch_find_range(batch, topic_partition);
    if (!range)
        return true;
    const uint32_t gone = (uint32_t)(range - batch->ranges), last = (uint32_t)batch->range_count - 1;
    for (int i = 0; i < batch->row_count; i++) {
        struct batch_row *row = &batch->rows[i];
        if (row->range == gone) {
            let_go(batch, row->message);
            row->message = NULL;
        } else if (row->range == last) {
            row->range = gone;
        }
    }
    int kept = 0;
    for (int i = 0; i < batch->dead_count; i++) {
        struct batch_dead *dead = &batch->dead[i];
        if (dead->range == gone) {
            let_go(batch, dead->message);
            continue;
        }
        if (dead->range == last)
            dead->range = gone;
        batch->dead[kept++] = *dead;
    }
    batch->dead_count = kept;
    struct batch_range spare = *range; /* its days array is used again */
    *range = batch->ranges[last];
    batch->ranges[last] = spare;
    batch->range_count--;
    batch_compact(batch);
    int64_t repeats = 0;
    for (int i = 0; i < batch->range_count; i++)
        repeats += batch->ranges[i].duplicates;
    return repeats == 0;
}

bool batch_kill_row(struct batch *batch, int row, enum reason reason, const char *detail, struct error *err)
{
    struct batch_row *killed = &batch->rows[row];
    if (batch->dead_count == batch->max_rows)
        return error_set(err, ERROR_FATAL, "a batch of %d dead letters is over its own limit", batch->dead_count);
    add_dead(batch, killed->range, killed->message, reason, detail);
    batch->ranges[killed->range].stored--;
    killed->message = NULL;
    return true;
}

void batch_set_id(struct batch *batch, int64_t batch_id)
{
    const uint64_t value = __builtin_bswap64((uint64_t)batch_id);
    for (int row = 0; row < batch->row_count; row++)
        memcpy(batch->bytes + batch->rows[row].start + TUPLE_BATCH_ID, &value, sizeof value);
}

static int by_topic_partition(const void *left, const void *right)
{
    const struct batch_range *a = left, *b = right;
    return (a->topic_partition > b->topic_partition) - (a->topic_partition < b->topic_partition);
}

static void sort_ranges(struct batch *batch)
{
    bool sorted = true;
    for (int i = 1; i < batch->range_count; i++)
        sorted = sorted && batch->ranges[i - 1].topic_partition < batch->ranges[i].topic_partition;
    if (sorted)
        return;
    qsort(batch->ranges, (size_t)batch->range_count, sizeof *batch->ranges, by_topic_partition);
    for (int i = 0; i < batch->row_count; i++)
        batch->rows[i].range = (uint32_t)(batch_find_range(batch, batch->rows[i].message->partition) - batch->ranges);
    for (int i = 0; i < batch->dead_count; i++)
        batch->dead[i].range = (uint32_t)(batch_find_range(batch, batch->dead[i].message->partition) - batch->ranges);
}

void batch_seal(struct batch *batch)
{
    sort_ranges(batch);
    for (int i = 0; i < batch->range_count; i++) {
        struct batch_range *range = &batch->ranges[i];
        if (range->anchor_message)
            anchor_hash(range->anchor_hash, range->anchor_message);
        range->anchor_message = NULL;
    }
}
