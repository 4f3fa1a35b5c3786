/* spool_struct.h - what the writing and the reading half of a spool share. Included by spool*.c only. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_SPOOL_STRUCT_H
#define TALLYMILL_PRODUCER_LIBRARY_SPOOL_STRUCT_H

#include <assert.h>

#include "producer/library/spool_format.h"
#include "producer/library/spool_options.h"
#include "producer/library/spool_place.h"

enum {
    SPOOL_GATHER_BYTES = 256 * 1024, /* written at once */
    SPOOL_READ_BYTES = 512 * 1024,
};

static_assert((int)SPOOL_GATHER_BYTES >= (int)SPOOL_RECORD_MAX && (int)SPOOL_READ_BYTES >= 2 * (int)SPOOL_RECORD_MAX,
              "any record fits");

struct spool_segment {
    uint64_t first_sequence, bytes;
};

/* Where reading is. */
struct spool_reader {
    int file;        /* of the segment, -1: not open */
    bool is_waiting; /* the segment cannot be read now (no descriptor is free, no memory), which passes: nothing is missing */
    size_t segment;  /* its index */
    uint64_t seed;
    uint64_t position; /* in the file, of buffer[0] */
    size_t at, filled; /* in the buffer */
    uint64_t next;     /* the sequence that comes next if none is missing */
    uint8_t buffer[SPOOL_READ_BYTES];
};

struct spool {
    struct spool_options options;
    struct spool_place place;
    spool_lost *lost;
    spool_dropped *dropped; /* may be NULL */
    bool is_drop_held;      /* a full spool refuses for now */
    uint64_t own_from;
    void *context;

    struct spool_segment *segments; /* by sequence; the last is the one being written if file >= 0 */
    size_t segment_count, segment_capacity;
    uint64_t bytes, segment_bytes;
    int file;
    uint64_t reserved_end; /* of the file: the disk has blocks up to here */
    bool is_unnamed;       /* somebody removed the file from the directory: the next messages go elsewhere */
    uint64_t seed;
    int refusal; /* see spool_refusal */
    int trouble_errno;
    int64_t refused_us;            /* by the disk, which is not asked again at once */
    bool is_dirty, is_place_dirty; /* something is not on the disk yet */
    bool is_broken;                /* an fsync failed: nothing is taken any more */

    uint64_t done_before, end;
    uint64_t done[SPOOL_WINDOW / 64];

    uint64_t noted_done, noted_end; /* in the state's file */
    int64_t noted_us, synced_us;
    char trouble[256];

    struct spool_reader reader;
    size_t gathered_bytes;
    uint8_t gathered[SPOOL_GATHER_BYTES];
};

bool spool_is_done(const struct spool *spool, uint64_t sequence);
uint64_t spool_step_done(struct spool *spool, uint64_t least);

/* One behind the last message that the last segment holds. 0: it cannot be read now, errno. */
uint64_t spool_reader_find_end(struct spool *spool);
/* Tells the messages of the first segment that are not done to `dropped`. */
void spool_reader_tell(struct spool *spool);
/* The first `count` segments are gone. */
void spool_reader_forget(struct spool *spool, size_t count);
void spool_reader_reset(struct spool *spool);

/* Of spool_segments.c. */

/* The disk refused. One line, kept until it works again. */
void spool_note_trouble(struct spool *spool, const char *what);
bool spool_write_state(struct spool *spool, bool is_durable);
/* After a failed fsync the kernel may have thrown the pages away and call the next one a success. So there is no next one. */
bool spool_sync_now(struct spool *spool, int64_t now_us);
/* The first `count` segments go. The state must say first that their messages are done, or the next process would miss them; where
 * a full disk does not even take that, they make room for it. */
void spool_segments_remove(struct spool *spool, size_t count);
/* All but the one that is written to, as far as their messages are done. */
void spool_segments_remove_done(struct spool *spool);
struct spool_segment *spool_segments_last(const struct spool *spool);
/* The one being written is finished: what of it is not on the disk goes there now, and what was reserved is given back. */
bool spool_segments_finish(struct spool *spool);
/* All segments go, the one that is written to as well, if everything in them is done: the last means against a full disk. */
bool spool_segments_release(struct spool *spool);
/* Blocks for `wanted` more bytes of a segment, or for as many as the disk has; at least `least` and one page. */
bool spool_segments_reserve(struct spool *spool, int file, uint64_t bytes, size_t least, size_t wanted, uint64_t *end);
/* Begins the next segment with blocks for more than `least` bytes, up to `wanted`; else all is as it was. */
bool spool_segments_begin(struct spool *spool, size_t least, size_t wanted);
/* If that is the policy, and there is another segment than the one that is written to. */
bool spool_segments_drop_oldest(struct spool *spool);
/* What earlier processes left. The last segment is read through: only it can be longer or shorter than the next one's name tells.
 */
bool spool_segments_find(struct spool *spool);

#endif
