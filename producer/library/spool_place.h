/* spool_place.h - a spool's directory: who may use it, what lies in it, and how far its messages are done.
 *
 *     lock                       held by the process that uses the directory
 *     0000000000000001.segment   named by the sequence of its first record, in hexadecimal
 *     state                      two slots, written in turn: how far everything is done, and how far it was written
 *
 * One thread, except that any number of places may be opened at once.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_SPOOL_PLACE_H
#define TALLYMILL_PRODUCER_LIBRARY_SPOOL_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tallymill/producer.h>

#include "common/error.h"

struct spool_place {
    int directory, lock, state; /* file descriptors; -1: not open */
    uint64_t turn;              /* of the state's slots */
    struct spool_place *next;   /* those of this process */
    uint64_t device, inode;
};

struct spool_state {
    uint64_t done_before; /* every message with a smaller sequence is done */
    uint64_t end;         /* at least the messages with a smaller sequence were written */
};

/* Makes the directory if it is missing, and locks it, waiting up to wait_ms for a process that has it. False: TALLY_INVALID what
 * always will be wrong, or TALLY_FAILED what may be cured; nothing is left to close. */
MUST_CHECK bool spool_place_open(struct spool_place *place, const char *directory, int wait_ms, struct tally_error *err);
void spool_place_close(struct spool_place *place);

/* All zero when there is none, or none that is sound. */
void spool_place_read_state(struct spool_place *place, struct spool_state *state);
/* is_durable: return only once it is on the disk. False: errno. */
bool spool_place_write_state(struct spool_place *place, const struct spool_state *state, bool is_durable);

/* The sequences that segments are named by, ascending, to be freed. SIZE_MAX: errno. */
size_t spool_place_list(const struct spool_place *place, uint64_t **sequences);

/* A segment's file descriptor, or -1 with errno; a new one must not exist. */
int spool_place_open_segment(const struct spool_place *place, uint64_t sequence, bool is_new);
/* Is this segment still in the directory? */
bool spool_place_has(int file);
/* Allocates blocks for `bytes` from `from` on without making the file longer. Where the filesystem cannot do that it is true, and
 * promises nothing. False: errno. */
bool spool_place_reserve(int file, uint64_t from, size_t bytes);
/* Gives back what was reserved behind `bytes`, the file's length. */
void spool_place_trim(int file, uint64_t bytes);
void spool_place_trim_segment(const struct spool_place *place, uint64_t sequence, uint64_t bytes);
void spool_place_remove_segment(const struct spool_place *place, uint64_t sequence);
/* The names of new segments are on the disk after this. False: errno. */
bool spool_place_sync(const struct spool_place *place);

#endif
