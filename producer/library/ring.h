/* ring.h - messages from any number of threads to one: the queue between tally_publish and the courier.
 *
 * A bounded circle of bytes. ring_put copies a message in and returns: one compare-and-swap to reserve the bytes, one copy, one
 * store that commits them; it takes no lock, makes no system call and never waits. The taker sees messages in the order in which
 * their bytes were reserved, so what one thread puts (or two threads put that agree on an order) comes out in that order.
 *
 * ring_put, ring_is_empty, ring_used and ring_shut: any thread. ring_take, ring_free_taken and ring_grant: one thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_RING_H
#define TALLYMILL_PRODUCER_LIBRARY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "producer/library/event.h"

struct ring;

/* Room for at least `bytes` of messages and their headers (rounded up to a power of two). NULL: no memory. */
struct ring *ring_new(size_t bytes);
void ring_delete(struct ring *ring);

enum ring_answer { RING_PUT, RING_FULL, RING_REFUSED /* beyond what was granted */, RING_SHUT };

/* RING_PUT: *position (may be NULL) is where the message ends; RING_FULL also when it never fits. */
enum ring_answer ring_put(struct ring *ring, const struct event_message *message, uint64_t *position);

/* Up to `limit` messages from the front, those committed so far; they stay valid until ring_free_taken. Taking again without
 * freeing goes on behind them. */
size_t ring_take(struct ring *ring, struct event_message *messages, size_t limit);

/* Gives the bytes of the first `count` messages of the last ring_take back; the others will be taken again. */
void ring_free_taken(struct ring *ring, const struct event_message *messages, size_t count);

/* From now on messages are put only up to this position; before the first call, wherever there is room. So a ring accepts no more
 * than its taker knows a place for. */
void ring_grant(struct ring *ring, uint64_t position);

/* Up to which position everything was freed; compare with that of ring_put. */
uint64_t ring_freed(const struct ring *ring);

/* Messages put since ring_new, counted before their taker can see them. */
uint64_t ring_count(const struct ring *ring);
bool ring_is_empty(const struct ring *ring);
size_t ring_used(const struct ring *ring);
size_t ring_capacity(const struct ring *ring);

/* From now on ring_put answers RING_SHUT. What was reserved before will still be committed. */
void ring_shut(struct ring *ring);

#endif
