/* batches.c - see batches.h. */
#include "consumer/batches.h"

#include "common/error.h"

bool batches_init(struct batches *batches, int max_rows, size_t tuple_bytes, struct error *err)
{
    *batches = (struct batches){.max_rows = max_rows, .tuple_bytes = tuple_bytes};
    batches->filling = batch_new(max_rows, tuple_bytes, err);
    batches->sending = batches->filling ? batch_new(max_rows, tuple_bytes, err) : NULL;
    return batches->sending != NULL;
}

static void drop_left_over(struct batches *batches)
{
    if (batches->left_over)
        rd_kafka_message_destroy(batches->left_over);
    batches->left_over = NULL;
}

void batches_free(struct batches *batches)
{
    drop_left_over(batches);
    batch_free(batches->filling);
    batch_free(batches->sending);
    batches->filling = batches->sending = NULL;
}

bool batches_have_room(const struct batches *batches)
{
    return !batches->left_over && !batch_is_full(batches->filling);
}

rd_kafka_message_t *batches_take_left_over(struct batches *batches)
{
    rd_kafka_message_t *message = batches->left_over;
    if (!message || batch_is_full(batches->filling))
        return NULL;
    batches->left_over = NULL;
    return message;
}

bool batches_turn(struct batches *batches)
{
    const bool is_retry = batches->retry_sending;
    batches->retry_sending = false;
    if (is_retry)
        return true;
    struct batch *filled = batches->filling;
    batches->filling = batches->sending;
    batches->sending = filled;
    return false;
}

static void resize_filling(struct batches *batches)
{
    struct error err;
    if (batches->filling->max_rows == batches->max_rows)
        return;
    struct batch *batch = batch_new(batches->max_rows, batches->tuple_bytes, &err);
    if (!batch)
        return;
    batch_free(batches->filling);
    batches->filling = batch;
}

void batches_release(struct batches *batches)
{
    batch_reset(batches->filling);
    resize_filling(batches);
}

void batches_drop(struct batches *batches, bool is_under_way)
{
    drop_left_over(batches);
    batch_reset(batches->filling);
    if (!is_under_way)
        batch_reset(batches->sending);
    batches->retry_sending = false;
}

void batches_resize(struct batches *batches, int max_rows)
{
    batches->max_rows = max_rows;
    if (batch_is_empty(batches->filling))
        resize_filling(batches);
}
