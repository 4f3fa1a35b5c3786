/* spool.c - see spool.h; its directory is in spool_place.c, its files in spool_segments.c, its
 * bytes in spool_format.c, its reading half in spool_reader.c.
 *
 * Messages have sequences without gaps, over all processes that ever used the directory. A process begins a segment of its own,
 * whatever the last one left: nothing is ever appended behind bytes that may be torn. A segment is removed once all its messages
 * are done, and the state that says so is written first.
 *
 * Invariant: done_before <= read <= end, in sequences. A message below done_before is done; of those from there on, `done` has a
 * bit for each of the next WINDOW, and none is read that has no bit.
 *
 * Loss shows as a gap in the sequences, wherever it comes from: a record that cannot be read, a file cut off, a segment missing. It
 * is counted once, when everything before it is done (then done_before can step over it, and no later reading comes to it again).
 *
 * Memory-mapped segments were rejected: a full disk, or a file cut by somebody, would be a SIGBUS in the application.
 */
#include "producer/library/spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/utf8.h"
#include "producer/library/spool_struct.h"

enum {
    SEGMENTS = 64, /* that a spool is divided into, within these limits */
    SEGMENT_MIN = 256 * 1024,
    SEGMENT_MAX = 16 * 1024 * 1024,
    SYNC_INTERVAL_US = 200000,
    STATE_INTERVAL_US = 100000,
};

bool spool_is_done(const struct spool *spool, uint64_t sequence)
{
    uint64_t bit = sequence % SPOOL_WINDOW;
    return sequence < spool->done_before || (spool->done[bit / 64] >> (bit % 64) & 1) != 0;
}

bool spool_done(struct spool *spool, uint64_t sequence)
{
    if (spool_is_done(spool, sequence))
        return false;
    uint64_t bit = sequence % SPOOL_WINDOW;
    spool->done[bit / 64] |= UINT64_C(1) << (bit % 64);
    spool_step_done(spool, spool->done_before);
    return true;
}

/* Moves done_before to `least`, and on over what is done. Returns how many of those below `least` were not. */
uint64_t spool_step_done(struct spool *spool, uint64_t least)
{
    uint64_t missed = 0;
    for (; spool->done_before < spool->end; spool->done_before++) {
        uint64_t bit = spool->done_before % SPOOL_WINDOW, mask = UINT64_C(1) << (bit % 64);
        bool is_done = (spool->done[bit / 64] & mask) != 0;
        if (!is_done && spool->done_before >= least)
            break;
        missed += !is_done;
        spool->done[bit / 64] &= ~mask;
    }
    return missed;
}

/* Room for `need` bytes by the spool's limit, dropping the oldest segment if that is the policy. */
static bool make_room(struct spool *spool, size_t need)
{
    if (spool->bytes + need <= spool->options.bytes)
        return true;
    spool_segments_remove_done(spool);
    while (spool->bytes + need > spool->options.bytes && spool_segments_drop_oldest(spool)) {
    }
    return spool->bytes + need <= spool->options.bytes;
}

static size_t room_promised(const struct spool *spool)
{
    return spool->file < 0 || spool->is_unnamed ? 0 : (size_t)(spool->reserved_end - spool_segments_last(spool)->bytes);
}

static bool is_long(const struct spool *spool)
{
    return spool->file < 0 || spool->is_unnamed || spool_segments_last(spool)->bytes >= spool->segment_bytes;
}

/* On the disk. What was promised stays promised: the next segment must hold as much. */
static bool extend_room(struct spool *spool, size_t wanted)
{
    size_t promised = room_promised(spool);
    if (is_long(spool) && spool_segments_begin(spool, promised, wanted))
        return true;
    uint64_t bytes = spool->file < 0 ? 0 : spool_segments_last(spool)->bytes;
    if (spool->file >= 0 && !spool->is_unnamed &&
        spool_segments_reserve(spool, spool->file, bytes, promised, wanted, &spool->reserved_end))
        return true;
    if (promised >= SPOOL_RECORD_MAX)
        return false;
    do
        if (spool_segments_release(spool) && spool_segments_begin(spool, 0, wanted))
            return true;
    while (spool_segments_drop_oldest(spool));
    return false;
}

size_t spool_reserve(struct spool *spool, size_t wanted, int64_t now_us)
{
    enum { ASK_AGAIN_US = 10000 };
    wanted = wanted < spool->segment_bytes ? wanted : spool->segment_bytes;
    size_t promised = room_promised(spool);
    if (spool->is_broken || (promised >= wanted / 2 && !is_long(spool)) || now_us - spool->refused_us < ASK_AGAIN_US)
        return spool->is_broken ? 0 : promised;
    bool has_room = make_room(spool, SPOOL_RECORD_MAX + SPOOL_HEADER_BYTES);
    uint64_t limit = spool->options.bytes - (spool->bytes < spool->options.bytes ? spool->bytes : spool->options.bytes);
    limit = limit < SPOOL_HEADER_BYTES ? 0 : limit - SPOOL_HEADER_BYTES;
    wanted = wanted < limit ? wanted : (size_t)limit;
    spool->refusal = has_room ? 0 : SPOOL_AT_ITS_SIZE;
    if (wanted > promised && !extend_room(spool, wanted)) {
        spool->refused_us = now_us;
        if (has_room && !spool->is_broken && room_promised(spool) < SPOOL_RECORD_MAX)
            spool->refusal = spool->trouble_errno;
    } else if (has_room) {
        spool->trouble[0] = '\0';
    }
    return spool->is_broken ? 0 : room_promised(spool);
}

int spool_refusal(const struct spool *spool)
{
    return spool->is_broken ? spool->trouble_errno : spool->refusal;
}

bool spool_is_idle(const struct spool *spool)
{
    return spool->done_before == spool->end;
}

/* Writes what was gathered: all of it, or the segment is as it was. */
static bool write_gathered(struct spool *spool, size_t count)
{
    struct spool_segment *segment = spool_segments_last(spool);
    size_t written = 0;
    while (written < spool->gathered_bytes) {
        size_t part = spool->gathered_bytes - written;
#ifdef TALLYMILL_FAILPOINTS
        part = written == 0 && part > 1 ? part / 2 : part; /* so that a test can end us in the middle */
#endif
        ssize_t done = pwrite(spool->file, spool->gathered + written, part, (off_t)(segment->bytes + written));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            spool_note_trouble(spool, "write");
            spool->refusal = spool->trouble_errno;
            spool->reserved_end = segment->bytes; /* a promise that the disk has broken */
            spool->refused_us = clock_now_us();
            if (ftruncate(spool->file, (off_t)segment->bytes) != 0)
                spool_segments_finish(spool); /* what was torn stays behind, and the next messages go elsewhere */
            spool->gathered_bytes = 0;
            return false;
        }
        written += (size_t)done;
        FAILPOINT("spool_mid_write");
    }
    segment->bytes += spool->gathered_bytes;
    if (spool->reserved_end < segment->bytes)
        spool->reserved_end = segment->bytes;
    spool->bytes += spool->gathered_bytes;
    spool->gathered_bytes = 0;
    spool->end += count;
    spool->is_dirty = true;
    return true;
}

/* Is there a segment to put `need` more bytes into, within the limit? */
static bool have_segment(struct spool *spool, size_t need)
{
    if (room_promised(spool) >= need)
        return true;
    if (!make_room(spool, need + SPOOL_HEADER_BYTES)) {
        spool->refusal = SPOOL_AT_ITS_SIZE;
        return false;
    }
    bool is_new =
        spool->file < 0 || spool->is_unnamed ||
        (spool_segments_last(spool)->bytes + need > spool->segment_bytes && spool_segments_last(spool)->bytes > SPOOL_HEADER_BYTES);
    if (!is_new || spool_segments_begin(spool, 0, 0))
        return true;
    spool->refusal = spool->trouble_errno;
    return false;
}

size_t spool_append(struct spool *spool, const struct event_message *messages, size_t count)
{
    size_t taken = 0;
    while (taken < count && !spool->is_broken) {
        size_t gathered = 0, need = 0;
        while (taken + gathered < count) {
            size_t size = spool_format_size(&messages[taken + gathered]);
            if (need + size > sizeof spool->gathered)
                break;
            need += size;
            gathered++;
        }
        if (!have_segment(spool, need))
            break;
        for (size_t i = 0; i < gathered; i++) {
            const struct event_message *message = &messages[taken + i];
            spool_format_record(spool->gathered + spool->gathered_bytes, message, spool->end + i, spool->seed);
            spool->gathered_bytes += spool_format_size(message);
        }
        if (!write_gathered(spool, gathered)) {
            spool_segments_release(spool);
            break;
        }
        taken += gathered;
        spool->trouble[0] = '\0';
    }
    return taken;
}

/* A file that was cleaned away with the directory: what is in it can still be read, as long as it is open here, but no later
 * process finds it. */
static void look_for_file(struct spool *spool)
{
    if (spool->file < 0 || spool->is_unnamed || spool_segments_last(spool)->first_sequence == spool->end ||
        spool_place_has(spool->file))
        return;
    spool->is_unnamed = true;
    snprintf(spool->trouble, sizeof spool->trouble, "somebody removed the file that the spool writes: another one is begun");
}

bool spool_flush(struct spool *spool, int64_t now_us)
{
    bool is_due = spool->options.sync == SPOOL_SYNC_EACH ||
                  (spool->options.sync == SPOOL_SYNC_INTERVAL && now_us - spool->synced_us >= SYNC_INTERVAL_US);
    if (spool->is_dirty && is_due)
        spool_sync_now(spool, now_us);
    bool is_old = spool->done_before != spool->noted_done || spool->end != spool->noted_end;
    if (is_old && now_us - spool->noted_us >= STATE_INTERVAL_US) {
        spool_segments_remove_done(spool);
        look_for_file(spool);
        spool_write_state(spool, false);
        spool->noted_done = spool->done_before;
        spool->noted_end = spool->end;
        spool->noted_us = now_us;
    }
    return !spool->is_dirty;
}

const char *spool_trouble(const struct spool *spool)
{
    return spool->trouble[0] == '\0' ? NULL : spool->trouble;
}

struct spool *spool_open(const struct spool_options *options, spool_lost *lost, void *context, uint64_t *recovered,
                         struct tally_error *err)
{
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL) {
        tally_error_set(err, TALLY_FAILED, "no memory");
        return NULL;
    }
    spool->options = *options;
    spool->options.directory = NULL; /* borrowed; not needed any more */
    spool->lost = lost;
    spool->context = context;
    spool->file = spool->reader.file = -1;
    uint64_t part = options->bytes / SEGMENTS;
    spool->segment_bytes = part < SEGMENT_MIN ? SEGMENT_MIN : part > SEGMENT_MAX ? SEGMENT_MAX : part;
    if (!spool_place_open(&spool->place, options->directory, options->wait_ms, err)) {
        free(spool);
        return NULL;
    }
    if (!spool_segments_find(spool)) {
        tally_error_set(err, TALLY_FAILED, "spool.dir = %.*s: %s", UTF8_CUT(options->directory, 300), strerror(errno));
        spool_place_close(&spool->place);
        free(spool->segments);
        free(spool);
        return NULL;
    }
    *recovered = spool->end - spool->done_before;
    spool->own_from = spool->end;
    spool_rewind(spool);
    spool_segments_remove_done(spool);
    return spool;
}

uint64_t spool_own_from(const struct spool *spool)
{
    return spool->own_from;
}

void spool_hold_drops(struct spool *spool, bool is_held)
{
    spool->is_drop_held = is_held;
}

void spool_tell_dropped(struct spool *spool, spool_dropped *dropped)
{
    spool->dropped = dropped;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    if (spool->is_dirty && spool->options.sync != SPOOL_SYNC_NEVER)
        spool_sync_now(spool, 0);
    /* With nothing left to send, nothing has to stay. */
    if (spool->done_before == spool->end && spool->segment_count > 0) {
        spool_segments_finish(spool);
        spool_segments_remove(spool, spool->segment_count);
    }
    spool_write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    if (spool->file >= 0) {
        spool_place_trim(spool->file, spool_segments_last(spool)->bytes);
        close(spool->file);
    }
    spool_reader_reset(spool);
    spool_place_close(&spool->place);
    free(spool->segments);
    free(spool);
}
