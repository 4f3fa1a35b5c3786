/* courier_direct.c - messages past a spool that takes nothing (a disk that others filled, or that broke), straight to Kafka while
 * it is up. See courier_struct.h.
 *
 * A batch is sent and stays at the front of the ring until all of it was acknowledged; only then is the next one taken. So a
 * message has a place at every moment: when Kafka goes away meanwhile, nothing more is accepted, and what has not come back goes
 * into the spool as soon as that takes anything. Until then it is in memory, ROOM_BYTES at most; with spool.sync = each nobody was
 * told yet that it is safe. It begins only when everything in the spool is done, so events stay in order.
 *
 * Leaving the batch to librdkafka and taking on was rejected: what it holds while Kafka is away would have no place.
 */
#include "common/clock.h"
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"
#include "producer/library/extra.h"

enum {
    ROOM_BYTES = 256 * 1024,
    PATIENCE_US = 1000000, /* with a batch that does not come back, before nothing more is accepted */
    AGAIN_US = 1000000,
};

static void send_again(struct courier *courier, int64_t now_us)
{
    struct direct *direct = &courier->direct;
    size_t count = 0;
    for (size_t i = 0; i < direct->count; i++)
        if (direct->states[i] == DIRECT_AGAIN) {
            courier->messages[count] = direct->messages[i];
            courier->tags[count++] = COURIER_DIRECT_TAG | direct->turn << COURIER_DIRECT_TAG_BITS | i;
            direct->states[i] = DIRECT_SENT; /* some may come back at once */
        }
    direct->out += count;
    size_t sent = channel_send(courier->channel, courier->messages, courier->tags, count);
    for (size_t i = sent; i < count; i++)
        direct->states[courier->tags[i] & ((1U << COURIER_DIRECT_TAG_BITS) - 1)] = DIRECT_AGAIN;
    direct->out -= count - sent;
    if (sent > 0)
        direct->sent_us = now_us;
}

static void finish(struct courier *courier)
{
    ring_free_taken(courier->ring, courier->direct.messages, courier->direct.count);
    courier->direct.count = 0;
    atomic_store(&courier->synced, ring_freed(courier->ring));
}

static bool is_finished(const struct direct *direct)
{
    for (size_t i = 0; i < direct->count; i++)
        if (direct->states[i] != DIRECT_DONE)
            return false;
    return true;
}

/* What has not come back goes into the spool, as far as that takes it; its fate is then told from there. */
static void into_spool(struct courier *courier)
{
    struct direct *direct = &courier->direct;
    for (size_t i = 0; i < direct->count; i++) {
        if (direct->states[i] == DIRECT_DONE)
            continue;
        if (spool_append(courier->spool, &direct->messages[i], 1) == 0)
            return;
        direct->out -= direct->states[i] == DIRECT_SENT;
        direct->states[i] = DIRECT_DONE;
    }
}

bool courier_direct_carry(struct courier *courier, int64_t now_us)
{
    struct direct *direct = &courier->direct;
    if (direct->count == 0) {
        if (!spool_is_idle(courier->spool) || courier->must_rewind || !channel_is_up(courier->channel))
            return false;
        ring_free_taken(courier->ring, direct->messages, 0); /* from the front */
        direct->count = ring_take(courier->ring, direct->messages, CHANNEL_BATCH);
        direct->turn = (direct->turn + 1) % (UINT64_C(1) << 32);
        direct->sent_us = now_us;
        for (size_t i = 0; i < direct->count; i++)
            direct->states[i] = DIRECT_AGAIN;
        send_again(courier, now_us);
        return direct->count > 0;
    }
    if (now_us - direct->sent_us >= AGAIN_US) {
        into_spool(courier);
        if (direct->out == 0)
            send_again(courier, now_us);
    }
    if (!is_finished(direct))
        return true;
    finish(courier);
    courier->moved_us = now_us;
    return false;
}

bool courier_direct_done(struct courier *courier, uint64_t tag, bool is_final)
{
    struct direct *direct = &courier->direct;
    size_t at = tag & ((1U << COURIER_DIRECT_TAG_BITS) - 1);
    uint64_t turn = (tag & ~COURIER_DIRECT_TAG) >> COURIER_DIRECT_TAG_BITS;
    if (direct->count == 0 || turn != direct->turn || direct->states[at] != DIRECT_SENT)
        return false;
    direct->states[at] = is_final ? DIRECT_DONE : DIRECT_AGAIN;
    direct->out--;
    return is_final;
}

uint64_t courier_direct_own_tag(const struct courier *courier, uint64_t tag)
{
    const struct event_message *message = &courier->direct.messages[tag & ((1U << COURIER_DIRECT_TAG_BITS) - 1)];
    return extra_tag(message->extra, message->extra_length);
}

size_t courier_direct_room(const struct courier *courier, int64_t now_us)
{
    if (courier->direct.count == 0)
        return spool_is_idle(courier->spool) && channel_is_up(courier->channel) ? ROOM_BYTES : 0;
    return now_us - courier->direct.sent_us < PATIENCE_US ? ROOM_BYTES : 0;
}

void courier_direct_end(struct courier *courier)
{
    if (courier->direct.count > 0)
        into_spool(courier);
}

void courier_direct_give_up(struct courier *courier)
{
    for (size_t i = 0; i < courier->direct.count; i++)
        if (courier->direct.states[i] != DIRECT_DONE)
            courier_give_up(courier, &courier->direct.messages[i]);
    if (courier->direct.count > 0)
        finish(courier);
}
