/* spool_options.h - how a spool is kept, and whom it tells of what is lost. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_SPOOL_OPTIONS_H
#define TALLYMILL_PRODUCER_LIBRARY_SPOOL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct event_message;

/* Messages that may be read and not done: more than librdkafka's queue takes by default. */
enum { SPOOL_WINDOW = 1 << 17 };

enum spool_sync { SPOOL_SYNC_EACH, SPOOL_SYNC_INTERVAL, SPOOL_SYNC_NEVER };

struct spool_options {
    const char *directory;
    uint64_t bytes; /* of all segments together */
    enum spool_sync sync;
    bool is_oldest_dropped; /* when full; else it refuses */
    int wait_ms;            /* for another process that still has the directory */
};

/* What was lost, told when it is noticed: `count` messages because they could not be read (is_dropped false) or because the spool
 * was full. */
typedef void spool_lost(void *context, uint64_t count, bool is_dropped);

/* Each message that a full spool drops is reported before it goes, as far as it can be read. */
typedef void spool_dropped(void *context, const struct event_message *message, uint64_t sequence);

#endif
