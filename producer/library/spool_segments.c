/* spool_segments.c - the files of a spool: begun, finished, removed, found again. See spool_struct.h.
 *
 * A segment is begun with blocks reserved, so that a full disk is known before a message is taken; it is removed behind the state
 * that says that its messages are done, or the next process would miss them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"

enum { FIRST_CAPACITY = 64, PAGE_BYTES = 4096, BLOCK_BYTES = 512 /* of st_blocks */ };

void spool_note_trouble(struct spool *spool, const char *what)
{
    spool->trouble_errno = errno;
    snprintf(spool->trouble, sizeof spool->trouble, "the spool cannot %s: %s", what, strerror(errno));
}

bool spool_write_state(struct spool *spool, bool is_durable)
{
    struct spool_state state = {.done_before = spool->done_before, .end = spool->end};
    return spool_place_write_state(&spool->place, &state, is_durable);
}

bool spool_sync_now(struct spool *spool, int64_t now_us)
{
    if (spool->is_broken || (spool->is_place_dirty && !spool_place_sync(&spool->place)) ||
        (spool->file >= 0 && fdatasync(spool->file) != 0)) {
        if (!spool->is_broken)
            spool_note_trouble(spool, "bring events to the disk, and takes no more until it is opened again");
        spool->is_broken = true;
        return false;
    }
    spool->is_place_dirty = spool->is_dirty = false;
    spool->synced_us = now_us;
    return true;
}

void spool_segments_remove(struct spool *spool, size_t count)
{
    if (count == 0)
        return;
    bool is_noted = spool_write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    if (!is_noted && errno != ENOSPC && errno != EDQUOT) {
        spool_note_trouble(spool, "write its state");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        spool_place_remove_segment(&spool->place, spool->segments[i].first_sequence);
        spool->bytes -= spool->segments[i].bytes;
    }
    if (!is_noted)
        spool_write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    spool->segment_count -= count;
    memmove(spool->segments, spool->segments + count, spool->segment_count * sizeof *spool->segments);
    spool_reader_forget(spool, count);
}

void spool_segments_remove_done(struct spool *spool)
{
    size_t count = 0;
    while (count + 1 < spool->segment_count && spool->segments[count + 1].first_sequence <= spool->done_before)
        count++;
    spool_segments_remove(spool, count);
}

struct spool_segment *spool_segments_last(const struct spool *spool)
{
    return &spool->segments[spool->segment_count - 1];
}

static bool add_segment(struct spool *spool, uint64_t first_sequence, uint64_t bytes)
{
    if (spool->segment_count == spool->segment_capacity) {
        size_t capacity = spool->segment_capacity == 0 ? FIRST_CAPACITY : spool->segment_capacity * 2;
        struct spool_segment *segments = realloc(spool->segments, capacity * sizeof *segments);
        if (segments == NULL)
            return false;
        spool->segments = segments;
        spool->segment_capacity = capacity;
    }
    spool->segments[spool->segment_count++] = (struct spool_segment){.first_sequence = first_sequence, .bytes = bytes};
    spool->bytes += bytes;
    return true;
}

bool spool_segments_finish(struct spool *spool)
{
    if (spool->file < 0)
        return true;
    if (spool->is_dirty && spool->options.sync != SPOOL_SYNC_NEVER && !spool_sync_now(spool, spool->synced_us))
        return false;
    spool_place_trim(spool->file, spool_segments_last(spool)->bytes);
    close(spool->file);
    spool->file = -1;
    return true;
}

bool spool_segments_release(struct spool *spool)
{
    if (!spool_is_idle(spool) || spool->segment_count == 0 || spool->gathered_bytes != 0)
        return false;
    if (spool->file >= 0)
        close(spool->file);
    spool->file = -1;
    spool_segments_remove(spool, spool->segment_count);
    return spool->segment_count == 0;
}

bool spool_segments_reserve(struct spool *spool, int file, uint64_t bytes, size_t least, size_t wanted, uint64_t *end)
{
    if (wanted == 0) {
        *end = bytes;
        return true;
    }
    for (size_t part = wanted; part >= PAGE_BYTES && part > least; part /= 2)
        if (spool_place_reserve(file, bytes, part)) {
            *end = bytes + part;
            return true;
        } else if (errno != ENOSPC && errno != EDQUOT) {
            break;
        }
    spool_note_trouble(spool, "reserve room");
    return false;
}

bool spool_segments_begin(struct spool *spool, size_t least, size_t wanted)
{
    uint8_t header[SPOOL_HEADER_BYTES];
    uint64_t seed, end;
    if (getentropy(&seed, sizeof seed) != 0)
        seed = spool->seed ^ (uint64_t)clock_wall_us();
    spool_format_header(header, spool->end, seed);
    int file = spool_place_open_segment(&spool->place, spool->end, true);
    if (file < 0) {
        spool_note_trouble(spool, "begin a segment");
        return false;
    }
    if (pwrite(file, header, sizeof header, 0) != sizeof header)
        spool_note_trouble(spool, "begin a segment");
    else if (spool_segments_reserve(spool, file, sizeof header, least, wanted, &end) && spool_segments_finish(spool) &&
             add_segment(spool, spool->end, sizeof header)) {
        spool->file = file;
        spool->seed = seed;
        spool->reserved_end = end;
        spool->is_unnamed = false;
        spool->is_place_dirty = spool->is_dirty = true;
        return true;
    }
    close(file);
    spool_place_remove_segment(&spool->place, spool->end);
    return false;
}

bool spool_segments_drop_oldest(struct spool *spool)
{
    if (!spool->options.is_oldest_dropped || spool->is_drop_held || spool->segment_count < 2)
        return false;
    size_t before = spool->segment_count;
    if (spool->dropped != NULL)
        spool_reader_tell(spool);
    uint64_t dropped = spool_step_done(spool, spool->segments[1].first_sequence);
    if (dropped > 0)
        spool->lost(spool->context, dropped, true);
    spool_segments_remove_done(spool);
    return spool->segment_count < before;
}

bool spool_segments_find(struct spool *spool)
{
    uint64_t *sequences;
    size_t count = spool_place_list(&spool->place, &sequences);
    if (count == SIZE_MAX)
        return false;
    struct spool_state state;
    spool_place_read_state(&spool->place, &state);
    bool is_known = state.end != 0;
    spool->done_before = is_known ? state.done_before : count > 0 ? sequences[0] : 1;
    spool->end = is_known ? state.end : 1;
    bool is_good = true;
    for (size_t i = 0; i < count && is_good; i++) {
        int file = spool_place_open_segment(&spool->place, sequences[i], false);
        struct stat status;
        is_good = file >= 0 && fstat(file, &status) == 0 && add_segment(spool, sequences[i], (uint64_t)status.st_size);
        if (file >= 0)
            close(file);
        if (is_good &&
            status.st_blocks * (int64_t)BLOCK_BYTES > status.st_size + PAGE_BYTES) /* reserved by a process that was killed */
            spool_place_trim_segment(&spool->place, sequences[i], (uint64_t)status.st_size);
    }
    free(sequences);
    if (is_good && count > 0) {
        uint64_t end = spool_reader_find_end(spool);
        is_good = end != 0;
        spool->end = spool->end > end ? spool->end : end;
    }
    if (is_good && count > 0 && spool->segments[spool->segment_count - 1].first_sequence == spool->end) {
        /* A segment begun and nothing in it: its name is needed. */
        spool_place_remove_segment(&spool->place, spool->end);
        spool->bytes -= spool->segments[--spool->segment_count].bytes;
    }
    return is_good;
}
