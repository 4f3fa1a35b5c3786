/* batch.c - rows, dead letters and ranges of one transaction.
 *
 * Invariant: for every range next_offset - first_offset = stored + duplicates + dead_letters + skipped, and stored + dead_letters
 * of all ranges = row_count + dead_count. Repeats inside the batch are found here (batch_seen), because Postgres would refuse the
 * whole COPY for one. Taking a topic partition or a row out is rare, so it compacts the buffer and rebuilds the table rather than
 * making every walk step over holes.
 */
#include "consumer/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/transcode.h"
#include "common/tuple.h"
#include "common/utf8.h"
#include "consumer/tuple_delta.h"

/* Before each kept message: what is not in its range. */
struct kept_head {
    int64_t offset, message_ms;
    uint32_t key_length, value_length; /* NO_BYTES: none */
};
#define NO_BYTES UINT32_MAX

/* One message of a row: larger ones are dead letters. */
enum { MOST_KEPT_BYTES = sizeof(struct kept_head) + WIRE_KEY_BYTES + WIRE_VALUE_BYTES };

struct batch *batch_new(int max_rows, size_t capacity, struct error *err)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        goto out;
    batch->max_rows = max_rows;
    batch->capacity = capacity + TRANSCODE_ROOM;
    batch->bytes = malloc(batch->capacity);
    batch->kept = malloc(capacity + MOST_KEPT_BYTES); /* pages that no message reaches are never touched, and cost nothing */
    batch->rows = malloc((size_t)max_rows * sizeof *batch->rows);
    batch->dead = malloc((size_t)max_rows * sizeof *batch->dead);
    batch->seen.bytes = batch->bytes;
    batch->seen.rows = batch->rows;
    if (!batch->bytes || !batch->kept || !batch->rows || !batch->dead || !batch_seen_init(&batch->seen, max_rows) ||
        !delta_init(&batch->delta, max_rows, err))
        goto out;
    memcpy(batch->bytes, COPY_HEADER, COPY_HEADER_BYTES);
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
    delta_free(&batch->delta);
    free(batch->ranges);
    batch_seen_free(&batch->seen);
    free(batch->dead);
    free(batch->rows);
    free(batch->kept);
    free(batch->bytes);
    free(batch);
}

void batch_reset(struct batch *batch)
{
    for (int i = 0; i < batch->dead_count; i++)
        if (batch->dead[i].message)
            rd_kafka_message_destroy(batch->dead[i].message);
    if (batch->row_count > 0)
        batch_seen_reset(&batch->seen);
    batch->row_count = batch->dead_count = batch->range_count = batch->clamped_count = 0;
    batch->used = COPY_HEADER_BYTES;
    delta_reset(&batch->delta);
    batch->kept_used = batch->message_bytes = batch->held_bytes = 0;
    batch->unknown_events = batch->unknown_keys = batch->broken_attributes = batch->newest_append_ms = 0;
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->range_count == 0;
}

bool batch_is_full(const struct batch *batch)
{
    return batch->row_count + batch->dead_count >= batch->max_rows ||
           batch->capacity - batch->used < TRANSCODE_ROOM + COPY_TRAILER_BYTES ||
           batch->kept_used + batch->held_bytes >= batch->capacity - TRANSCODE_ROOM;
}

struct batch_range *batch_find_range(const struct batch *batch, int32_t topic_partition)
{
    for (int i = 0; i < batch->range_count; i++)
        if (batch->ranges[i].topic_partition == topic_partition)
            return &batch->ranges[i];
    return NULL;
}

/* The range of a topic partition: found, or begun at next_offset. */
static struct batch_range *take_range(struct batch *batch, int32_t topic_partition, int64_t next_offset, struct error *err)
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
    return batch_seen_row(*batch_seen_slot(&batch->seen, batch_seen_hash(id, created_at), id, created_at));
}

/* The header that wire.trace = keep is about. */
static void take_trace(struct transcoder *transcoder, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t length;
    if (!transcoder_keeps_trace(transcoder))
        return;
    bool has_trace = rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                     rd_kafka_header_get_last(headers, "traceparent", &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR;
    transcoder_set_trace(transcoder, has_trace ? value : NULL, has_trace ? length : 0);
}

/* Bytes of a message: value, key and headers, which are as long as a producer likes. */
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

static struct original original_of(const rd_kafka_message_t *message, rd_kafka_timestamp_type_t *kind)
{
    return (struct original){message->partition, message->offset,  rd_kafka_message_timestamp(message, kind),
                             message->key,       message->payload, message->key_len,
                             message->len};
}

static uint8_t *keep_bytes(uint8_t *to, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(to, bytes, length);
    return to + length;
}

/* Copies a message that has become a row; returns where it lies. batch_is_full() has seen to the room. */
static uint32_t keep(struct batch *batch, const rd_kafka_message_t *message, int64_t message_ms)
{
    const uint32_t kept = (uint32_t)batch->kept_used;
    const struct kept_head head = {message->offset, message_ms, message->key ? (uint32_t)message->key_len : NO_BYTES,
                                   message->payload ? (uint32_t)message->len : NO_BYTES};
    uint8_t *end = keep_bytes(batch->kept + kept, &head, sizeof head);
    end = keep_bytes(end, message->key, message->key ? message->key_len : 0);
    end = keep_bytes(end, message->payload, message->payload ? message->len : 0);
    batch->kept_used = (size_t)(end - batch->kept);
    return kept;
}

struct original batch_original(const struct batch *batch, int row)
{
    struct kept_head head;
    const uint8_t *at = batch->kept + batch->rows[row].kept;
    memcpy(&head, at, sizeof head);
    const uint8_t *key = at + sizeof head;
    const size_t key_length = head.key_length == NO_BYTES ? 0 : head.key_length;
    return (struct original){batch->ranges[batch->rows[row].range].topic_partition,
                             head.offset,
                             head.message_ms,
                             head.key_length == NO_BYTES ? NULL : key,
                             head.value_length == NO_BYTES ? NULL : key + key_length,
                             key_length,
                             head.value_length == NO_BYTES ? 0 : head.value_length};
}

static void add_dead(struct batch *batch, uint32_t range, struct original original, rd_kafka_message_t *message, enum reason reason,
                     const char *detail)
{
    struct batch_dead *dead = &batch->dead[batch->dead_count++];
    *dead = (struct batch_dead){.original = original, .message = message, .range = range, .reason = reason};
    utf8_trim(utf8_copy(dead->detail, sizeof dead->detail, detail));
    batch->ranges[range].dead_letters++;
}

/* The anchor of a message that is not kept: its hash at once. */
static void note_anchor(struct batch_range *range, const rd_kafka_message_t *message)
{
    anchor_hash(range->anchor_hash, message->payload, message->len);
    range->anchor_value = NULL;
}

/* The tuple lies at bytes + used: keep it, unless the batch holds its id and time already. The message stays the caller's. */
static bool add_row(struct batch *batch, uint32_t range_number, const rd_kafka_message_t *message, int64_t message_ms,
                    const struct transcoded *event, struct error *err)
{
    struct batch_range *range = &batch->ranges[range_number];
    const uint8_t *tuple = batch->bytes + batch->used;
    batch_seen_make_room(&batch->seen, batch->row_count);
    const uint64_t hash = batch_seen_hash(tuple + TUPLE_ID, tuple + TUPLE_CREATED_AT);
    batch_seen_prefetch(&batch->seen, hash); /* while the message is kept */
    const size_t kept_before = batch->kept_used;
    const uint32_t kept = keep(batch, message, message_ms);
    uint64_t *slot = batch_seen_slot(&batch->seen, hash, tuple + TUPLE_ID, tuple + TUPLE_CREATED_AT);
    if (*slot != 0) {
        batch->kept_used = kept_before;
        range->duplicates++;
        note_anchor(range, message);
        return true;
    }
    if (!add_day(range, event->day, err)) {
        batch->kept_used = kept_before;
        return false;
    }
    batch->rows[batch->row_count] =
        (struct batch_row){(uint32_t)batch->used, (uint32_t)event->length, kept, range_number, event->is_clamped, event->day};
    tuple_delta_add(&batch->delta, tuple, event->day);
    *slot = batch_seen_value(hash, batch->row_count++);
    range->anchor_value = batch->kept + batch->kept_used - message->len;
    range->anchor_length = message->len;
    batch->used += event->length;
    range->stored++;
    batch->clamped_count += event->is_clamped;
    batch->unknown_events += event->is_unknown_event;
    batch->unknown_keys += event->has_unknown_key;
    batch->broken_attributes += event->breaks_attributes;
    return true;
}

bool batch_add(struct batch *batch, struct transcoder *transcoder, rd_kafka_message_t *message, int64_t next_offset,
               struct error *err)
{
    assert(!batch_is_full(batch));
    struct batch_range *range = take_range(batch, message->partition, next_offset, err);
    if (!range)
        return false;
    assert(message->offset >= range->next_offset);
    const uint32_t range_number = (uint32_t)(range - batch->ranges);
    rd_kafka_timestamp_type_t kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const struct original original = original_of(message, &kind);
    if (kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME && original.message_ms > batch->newest_append_ms)
        batch->newest_append_ms = original.message_ms;
    struct transcoded event;
    enum reason reason = REASON_NONE;
    const char *detail = "";
    const size_t size = message_size(message);
    if (message->key_len > WIRE_KEY_BYTES || size - message->len - message->key_len > WIRE_HEADER_BYTES) {
        reason = REASON_SIZE;
        detail = "the message's key is longer than 65536 bytes, or its headers are";
    }
    if (reason == REASON_NONE) {
        take_trace(transcoder, message);
        reason =
            transcode(transcoder, message->payload, message->len, original.message_ms * 1000, batch->bytes + batch->used, &event);
        detail = transcoder_detail(transcoder);
    }
    if (reason != REASON_NONE) {
        add_dead(batch, range_number, original, message, reason, detail);
        note_anchor(range, message);
        batch->held_bytes += size;
    } else {
        if (!add_row(batch, range_number, message, original.message_ms, &event, err))
            return false;
        if (event.is_clamped)
            transcoder_window(transcoder, &batch->oldest_us, &batch->newest_us);
        rd_kafka_message_destroy(message);
    }
    batch->message_bytes += size;
    range->anchor_offset = original.offset;
    range->skipped += original.offset - range->next_offset;
    range->next_offset = original.offset + 1;
    return true;
}

bool batch_skip(struct batch *batch, int32_t topic_partition, int64_t next_offset, int64_t end, struct error *err)
{
    struct batch_range *range = take_range(batch, topic_partition, next_offset, err);
    if (!range)
        return false;
    assert(end >= range->next_offset);
    range->skipped += end - range->next_offset;
    range->next_offset = end;
    return true;
}

/* Closes the holes that rows of length 0 leave: those that became dead letters, or are stored already. */
void batch_compact(struct batch *batch)
{
    size_t used = COPY_HEADER_BYTES;
    int kept = 0;
    batch->clamped_count = 0;
    delta_reset(&batch->delta);
    for (int i = 0; i < batch->row_count; i++) {
        struct batch_row row = batch->rows[i];
        if (row.length == 0)
            continue;
        memmove(batch->bytes + used, batch->bytes + row.start, row.length);
        row.start = (uint32_t)used;
        tuple_delta_add(&batch->delta, batch->bytes + used, row.day);
        used += row.length;
        batch->clamped_count += row.is_clamped;
        batch->rows[kept++] = row;
    }
    batch->row_count = kept;
    batch->used = used;
    batch_seen_rebuild(&batch->seen, kept);
}

bool batch_drop(struct batch *batch, int32_t topic_partition)
{
    struct batch_range *range = batch_find_range(batch, topic_partition);
    if (!range)
        return true;
    const uint32_t gone = (uint32_t)(range - batch->ranges), last = (uint32_t)batch->range_count - 1;
    for (int i = 0; i < batch->row_count; i++) {
        struct batch_row *row = &batch->rows[i];
        if (row->range == gone)
            row->length = 0;
        else if (row->range == last)
            row->range = gone;
    }
    int kept = 0;
    for (int i = 0; i < batch->dead_count; i++) {
        struct batch_dead *dead = &batch->dead[i];
        if (dead->range == gone) {
            if (dead->message)
                rd_kafka_message_destroy(dead->message);
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
    add_dead(batch, killed->range, batch_original(batch, row), NULL, reason, detail);
    batch->ranges[killed->range].stored--;
    killed->length = 0;
    return true;
}

void batch_repeat_row(struct batch *batch, int row)
{
    struct batch_range *range = &batch->ranges[batch->rows[row].range];
    range->stored--;
    range->duplicates++;
    batch->rows[row].length = 0;
}

struct batch_totals batch_totals(const struct batch *batch)
{
    struct batch_totals totals = {0};
    for (int i = 0; i < batch->range_count; i++) {
        totals.stored += batch_range_stored(&batch->ranges[i]);
        totals.duplicates += batch_range_duplicates(&batch->ranges[i]);
        totals.dead_letters += batch->ranges[i].dead_letters;
        totals.skipped += batch->ranges[i].skipped;
    }
    return totals;
}

int batch_set_id(struct batch *batch, int row, size_t end, int64_t batch_id)
{
    for (; row < batch->row_count && batch->rows[row].start < end; row++)
        put_64(batch->bytes + batch->rows[row].start + TUPLE_BATCH_ID, (uint64_t)batch_id);
    return row;
}

const uint8_t *batch_delta(struct batch *batch, size_t *length)
{
    if (batch->row_count < DELTA_LEAST_ROWS)
        return NULL;
    for (int i = 0; i < batch->range_count; i++)
        if (batch->ranges[i].conflicts > 0)
            return NULL;
    assert(batch->delta.rows == (uint32_t)batch->row_count);
    return delta_finish(&batch->delta, length);
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
    for (int i = 0; i < batch->range_count; i++)
        batch->ranges[i].place = (uint32_t)i;
    qsort(batch->ranges, (size_t)batch->range_count, sizeof *batch->ranges, by_topic_partition);
    for (int i = 0; i < batch->range_count; i++)
        batch->ranges[batch->ranges[i].place].moved_to = (uint32_t)i;
    for (int i = 0; i < batch->row_count; i++)
        batch->rows[i].range = batch->ranges[batch->rows[i].range].moved_to & 0x7fffffff;
    for (int i = 0; i < batch->dead_count; i++)
        batch->dead[i].range = batch->ranges[batch->dead[i].range].moved_to;
}

void batch_seal(struct batch *batch)
{
    sort_ranges(batch);
    for (int i = 0; i < batch->range_count; i++) {
        struct batch_range *range = &batch->ranges[i];
        if (range->anchor_value)
            anchor_hash(range->anchor_hash, range->anchor_value, range->anchor_length);
        range->anchor_value = NULL;
    }
}
