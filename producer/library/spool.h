/* spool.h - a log on disk that every message goes through on its way to Kafka, so that it outlives Kafka's absence and this
 * process.
 *
 * Messages are appended, read back in order, and done with one by one, in any order; what is not done when the process ends,
 * however it ends, is read again by the next one. So a message can be sent twice, always as the same bytes: its id makes that
 * harmless.
 *
 * One process a directory. One thread (the courier's).
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_SPOOL_H
#define TALLYMILL_PRODUCER_LIBRARY_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/library/event.h"
#include "producer/library/spool_options.h"

struct spool;

/* Makes the directory if it is missing, takes its lock and finds what earlier processes left: *recovered is the number of their
 * messages that are not done yet (some may prove unreadable and are then told to `lost`). NULL: TALLY_INVALID (the directory cannot
 * be used) or TALLY_FAILED (it is in use, or the machine lacks something now). */
MUST_CHECK struct spool *spool_open(const struct spool_options *options, spool_lost *lost, void *context, uint64_t *recovered,
                                    struct tally_error *err);

/* The first sequence that this process appends. */
uint64_t spool_own_from(const struct spool *spool);

void spool_tell_dropped(struct spool *spool, spool_dropped *dropped);
/* While held, a full spool refuses instead. May be called by spool_dropped. */
void spool_hold_drops(struct spool *spool, bool is_held);

/* Flushes, and keeps what is not done. */
void spool_close(struct spool *spool);

/* Makes sure of room for records: on the disk (blocks are allocated ahead), and by the spool's limit. Returns for how many bytes,
 * near `wanted` where there is nothing in the way; spool_append will take that much. Removes what is done, or drops the oldest if
 * that is the policy. */
size_t spool_reserve(struct spool *spool, size_t wanted, int64_t now_us);

/* Why spool_reserve gave less than any message may need, or spool_append took less than all: 0 while there is room. */
enum { SPOOL_AT_ITS_SIZE = -1 /* else a positive errno of the disk */ };
int spool_refusal(const struct spool *spool);

/* Is everything done that was ever appended? */
bool spool_is_idle(const struct spool *spool);

/* Appends the first messages and returns how many; fewer than `count` when the spool is full and refuses, or the disk does
 * (spool_trouble). They are in the file's pages at once, on the disk after spool_flush. */
size_t spool_append(struct spool *spool, const struct event_message *messages, size_t count);

/* Brings what was appended to the disk, as far as `sync` asks for it by now, and notes which messages are done. Is everything that
 * was appended on the disk? */
bool spool_flush(struct spool *spool, int64_t now_us);

/* The next messages that were not read yet, oldest first, up to `limit`; valid until the next call. sequences: what spool_done
 * takes. */
size_t spool_read(struct spool *spool, struct event_message *messages, uint64_t *sequences, size_t limit);

/* This one of the messages that spool_read just gave, and all behind it, were not sent: they are read again. */
void spool_unread(struct spool *spool, const struct event_message *first, uint64_t sequence);

/* This message was acknowledged, or can never be. False: it was given up before (dropped), and is counted as that. */
bool spool_done(struct spool *spool, uint64_t sequence);

/* Everything that is not done is read again. */
void spool_rewind(struct spool *spool);

/* What the disk said last, or NULL while it works. */
const char *spool_trouble(const struct spool *spool);

#endif
