/* spool.c - see spool.h; its directory is in spool_place.c, its bytes in spool_format.c, its reading half in spool_reader.c.
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
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/utf8.h"
#include "producer/library/spool_struct.h"

enum {
    SEGMENTS = 64, /* that a spool is divided into, within these limits */
    SEGMENT_MIN = 256 * 1024,
    SEGMENT_MAX = 16 * 1024 * 1024,
    PAGE_BYTES = 4096,
    SYNC_INTERVAL_US = 200000,
    STATE_INTERVAL_US = 100000,
};

/* -- Done -----------------------------------------------------------------------------------------------------------------------
 */

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

/* -- Segments -------------------------------------------------------------------------------------------------------------------
 */

/* The disk refused. One line, kept until it works again. */
static void note_trouble(struct spool *spool, const char *what)
{
    spool->trouble_errno = errno;
    snprintf(spool->trouble, sizeof spool->trouble, "the spool cannot %s: %s", what, strerror(errno));
}

static bool write_state(struct spool *spool, bool is_durable)
{
    struct spool_state state = {.done_before = spool->done_before, .end = spool->end};
    return spool_place_write_state(&spool->place, &state, is_durable);
}

/* After a failed fsync the kernel may have thrown the pages away and call the next one a success. So there is no next one. */
static bool sync_now(struct spool *spool, int64_t now_us)
{
    if (spool->is_broken || (spool->is_place_dirty && !spool_place_sync(&spool->place)) ||
        (spool->file >= 0 && fdatasync(spool->file) != 0)) {
        if (!spool->is_broken)
            note_trouble(spool, "bring events to the disk, and takes no more until it is opened again");
        spool->is_broken = true;
        return false;
    }
    spool->is_place_dirty = spool->is_dirty = false;
    spool->synced_us = now_us;
    return true;
}

/* The first `count` segments go. The state must say first that their messages are done, or the next process would miss them; where
 * a full disk does not even take that, they make room for it. */
static void remove_segments(struct spool *spool, size_t count)
{
    if (count == 0)
        return;
    bool is_noted = write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    if (!is_noted && errno != ENOSPC && errno != EDQUOT) {
        note_trouble(spool, "write its state");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        spool_place_remove_segment(&spool->place, spool->segments[i].first_sequence);
        spool->bytes -= spool->segments[i].bytes;
    }
    if (!is_noted)
        write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    spool->segment_count -= count;
    memmove(spool->segments, spool->segments + count, spool->segment_count * sizeof *spool->segments);
    spool_reader_forget(spool, count);
}

/* All but the one that is written to, as far as their messages are done. */
static void remove_done(struct spool *spool)
{
    size_t count = 0;
    while (count + 1 < spool->segment_count && spool->segments[count + 1].first_sequence <= spool->done_before)
        count++;
    remove_segments(spool, count);
}

static struct spool_segment *last_segment(const struct spool *spool)
{
    return &spool->segments[spool->segment_count - 1];
}

static bool add_segment(struct spool *spool, uint64_t first_sequence, uint64_t bytes)
{
    if (spool->segment_count == spool->segment_capacity) {
        size_t capacity = spool->segment_capacity == 0 ? SEGMENTS : spool->segment_capacity * 2;
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

/* The one being written is finished: what of it is not on the disk goes there now, and what was reserved is given back. */
static bool finish_segment(struct spool *spool)
{
    if (spool->file < 0)
        return true;
    if (spool->is_dirty && spool->options.sync != SPOOL_SYNC_NEVER && !sync_now(spool, spool->synced_us))
        return false;
    spool_place_trim(spool->file, last_segment(spool)->bytes);
    close(spool->file);
    spool->file = -1;
    return true;
}

/* All segments go, the one that is written to as well, if everything in them is done: the last means against a full disk. */
static bool release_all(struct spool *spool)
{
    if (!spool_is_idle(spool) || spool->segment_count == 0 || spool->gathered_bytes != 0)
        return false;
    if (spool->file >= 0)
        close(spool->file);
    spool->file = -1;
    remove_segments(spool, spool->segment_count);
    return spool->segment_count == 0;
}

/* Blocks for `wanted` more bytes of a segment, or for as many as the disk has; at least `least` and one page. */
static bool reserve_blocks(struct spool *spool, int file, uint64_t bytes, size_t least, size_t wanted, uint64_t *end)
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
    note_trouble(spool, "reserve room");
    return false;
}

/* Begins the next segment with blocks for more than `least` bytes, up to `wanted`; else all is as it was. */
static bool begin_segment(struct spool *spool, size_t least, size_t wanted)
{
    uint8_t header[SPOOL_HEADER_BYTES];
    uint64_t seed, end;
    if (getentropy(&seed, sizeof seed) != 0)
        seed = spool->seed ^ (uint64_t)clock_wall_us();
    spool_format_header(header, spool->end, seed);
    int file = spool_place_open_segment(&spool->place, spool->end, true);
    if (file < 0) {
        note_trouble(spool, "begin a segment");
        return false;
    }
    if (pwrite(file, header, sizeof header, 0) != sizeof header)
        note_trouble(spool, "begin a segment");
    else if (reserve_blocks(spool, file, sizeof header, least, wanted, &end) && finish_segment(spool) &&
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

/* If that is the policy, and there is another segment than the one that is written to. */
static bool drop_oldest(struct spool *spool)
{
    if (!spool->options.is_oldest_dropped || spool->is_drop_held || spool->segment_count < 2)
        return false;
    size_t before = spool->segment_count;
    if (spool->dropped != NULL)
        spool_reader_tell(spool);
    uint64_t dropped = spool_step_done(spool, spool->segments[1].first_sequence);
    if (dropped > 0)
        spool->lost(spool->context, dropped, true);
    remove_done(spool);
    return spool->segment_count < before;
}

/* Room for `need` bytes by the spool's limit, dropping the oldest segment if that is the policy. */
static bool make_room(struct spool *spool, size_t need)
{
    if (spool->bytes + need <= spool->options.bytes)
        return true;
    remove_done(spool);
    while (spool->bytes + need > spool->options.bytes && drop_oldest(spool)) {
    }
    return spool->bytes + need <= spool->options.bytes;
}

/* -- Room -----------------------------------------------------------------------------------------------------------------------
 */

static size_t room_promised(const struct spool *spool)
{
    return spool->file < 0 || spool->is_unnamed ? 0 : (size_t)(spool->reserved_end - last_segment(spool)->bytes);
}

static bool is_long(const struct spool *spool)
{
    return spool->file < 0 || spool->is_unnamed || last_segment(spool)->bytes >= spool->segment_bytes;
}

/* On the disk. What was promised stays promised: the next segment must hold as much. */
static bool extend_room(struct spool *spool, size_t wanted)
{
    size_t promised = room_promised(spool);
    if (is_long(spool) && begin_segment(spool, promised, wanted))
        return true;
    uint64_t bytes = spool->file < 0 ? 0 : last_segment(spool)->bytes;
    if (spool->file >= 0 && !spool->is_unnamed && reserve_blocks(spool, spool->file, bytes, promised, wanted, &spool->reserved_end))
        return true;
    if (promised >= SPOOL_RECORD_MAX)
        return false;
    do
        if (release_all(spool) && begin_segment(spool, 0, wanted))
            return true;
    while (drop_oldest(spool));
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

/* -- Writing --------------------------------------------------------------------------------------------------------------------
 */

/* Writes what was gathered: all of it, or the segment is as it was. */
static bool write_gathered(struct spool *spool, size_t count)
{
    struct spool_segment *segment = last_segment(spool);
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
            note_trouble(spool, "write");
            spool->refusal = spool->trouble_errno;
            spool->reserved_end = segment->bytes; /* a promise that the disk has broken */
            spool->refused_us = clock_now_us();
            if (ftruncate(spool->file, (off_t)segment->bytes) != 0)
                finish_segment(spool); /* what was torn stays behind, and the next messages go elsewhere */
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
    bool is_new = spool->file < 0 || spool->is_unnamed || (last_segment(spool)->bytes + need > spool->segment_bytes &&
                                      last_segment(spool)->bytes > SPOOL_HEADER_BYTES);
    if (!is_new || begin_segment(spool, 0, 0))
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
            release_all(spool);
            break;
        }
        taken += gathered;
        spool->trouble[0] = '\0';
    }
    return taken;
}

/* A file that was cleaned away with the directory: what is in it can still be read, as long as it is open here, but no later process finds it. */
static void look_for_file(struct spool *spool)
{
    if (spool->file < 0 || spool->is_unnamed || last_segment(spool)->first_sequence == spool->end || spool_place_has(spool->file))
        return;
    spool->is_unnamed = true;
    snprintf(spool->trouble, sizeof spool->trouble, "somebody removed the file that the spool writes: another one is begun");
}

bool spool_flush(struct spool *spool, int64_t now_us)
{
    bool is_due = spool->options.sync == SPOOL_SYNC_EACH ||
                  (spool->options.sync == SPOOL_SYNC_INTERVAL && now_us - spool->synced_us >= SYNC_INTERVAL_US);
    if (spool->is_dirty && is_due)
        sync_now(spool, now_us);
    bool is_old = spool->done_before != spool->noted_done || spool->end != spool->noted_end;
    if (is_old && now_us - spool->noted_us >= STATE_INTERVAL_US) {
        remove_done(spool);
        look_for_file(spool);
        write_state(spool, false);
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

/* -- Life -----------------------------------------------------------------------------------------------------------------------
 */

/* What earlier processes left. The last segment is read through: only it can be longer or shorter than the next one's name tells.
 */
static bool find_segments(struct spool *spool)
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
        if (is_good && status.st_blocks * INT64_C(512) > status.st_size + PAGE_BYTES) /* reserved by a process that was killed */
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
    if (!find_segments(spool)) {
        tally_error_set(err, TALLY_FAILED, "spool.dir = %.*s: %s", UTF8_CUT(options->directory, 300), strerror(errno));
        spool_place_close(&spool->place);
        free(spool->segments);
        free(spool);
        return NULL;
    }
    *recovered = spool->end - spool->done_before;
    spool->own_from = spool->end;
    spool_rewind(spool);
    remove_done(spool);
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
        sync_now(spool, 0);
    /* With nothing left to send, nothing has to stay. */
    if (spool->done_before == spool->end && spool->segment_count > 0) {
        finish_segment(spool);
        remove_segments(spool, spool->segment_count);
    }
    write_state(spool, spool->options.sync != SPOOL_SYNC_NEVER);
    if (spool->file >= 0) {
        spool_place_trim(spool->file, last_segment(spool)->bytes);
        close(spool->file);
    }
    spool_reader_reset(spool);
    spool_place_close(&spool->place);
    free(spool->segments);
    free(spool);
}
