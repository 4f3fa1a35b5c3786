/* spool_reader.c - the reading half of a spool: see spool.h, and spool.c for the invariants.
 *
 * Reads on with pread through one buffer, from segment to segment, also in the one that is being written: what was just appended
 * comes out of the page cache. A second way for messages that are still in memory would be quicker by one copy, and would be the
 * way that no test of a restart ever takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"

enum { PAGE_BYTES = 4096 };

void spool_reader_reset(struct spool *spool)
{
    struct spool_reader *reader = &spool->reader;
    if (reader->file >= 0)
        close(reader->file);
    reader->file = -1;
    reader->position = reader->at = reader->filled = 0;
}

static void move_to(struct spool *spool, size_t segment)
{
    spool_reader_reset(spool);
    spool->reader.segment = segment;
}

void spool_rewind(struct spool *spool)
{
    size_t segment = 0;
    while (segment + 1 < spool->segment_count && spool->segments[segment + 1].first_sequence <= spool->done_before)
        segment++;
    move_to(spool, segment);
    spool->reader.next = spool->done_before;
}

void spool_reader_forget(struct spool *spool, size_t count)
{
    struct spool_reader *reader = &spool->reader;
    if (reader->segment >= count) {
        reader->segment -= count;
        return;
    }
    move_to(spool, 0);
    if (reader->next < spool->done_before)
        reader->next = spool->done_before;
}

/* Of what keeps us from reading a segment, what others can end: a server that has used up its descriptors, a directory that this
 * process may not enter for now. The messages are there, and are sent later. What is gone is gone, and counted. */
static bool may_pass(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EACCES || error == EPERM;
}

/* False, for those who cannot go on. */
static bool wait_for_others(struct spool *spool)
{
    spool->reader.is_waiting = true;
    snprintf(spool->trouble, sizeof spool->trouble, "the spool cannot read a segment, and waits: %s", strerror(errno));
    return false;
}

/* A page that the disk cannot give is read as zeros, which no record survives: the others are not lost with it. -1: errno, which
 * may pass. */
static ssize_t read_at(int file, uint8_t *to, size_t length, uint64_t position)
{
    ssize_t got;
    do
        got = pread(file, to, length, (off_t)position);
    while (got < 0 && errno == EINTR);
    if (got >= 0 || may_pass(errno))
        return got;
    size_t page = PAGE_BYTES - (size_t)(position % PAGE_BYTES);
    length = length < page ? length : page;
    memset(to, 0, length);
    return (ssize_t)length;
}

/* Opens the segment and reads its header. Without a sound one, or under a wrong name, nothing in it can be read. False with
 * is_waiting: later. */
static bool open_segment(struct spool *spool)
{
    struct spool_reader *reader = &spool->reader;
    uint64_t first_sequence, expected = spool->segments[reader->segment].first_sequence;
    bool is_written = reader->segment + 1 == spool->segment_count && spool->file >= 0; /* its name may be gone */
    reader->file = is_written ? fcntl(spool->file, F_DUPFD_CLOEXEC, 0) : spool_place_open_segment(&spool->place, expected, false);
    if (reader->file < 0)
        return may_pass(errno) && wait_for_others(spool);
    ssize_t got = read_at(reader->file, reader->buffer, SPOOL_HEADER_BYTES, 0);
    if (got < 0) {
        wait_for_others(spool);
        close(reader->file);
        reader->file = -1;
        return false;
    }
    reader->position = SPOOL_HEADER_BYTES;
    reader->at = reader->filled = 0;
    return got > 0 && spool_format_read_header(reader->buffer, (size_t)got, &first_sequence, &reader->seed) &&
           first_sequence == expected;
}

/* More bytes behind those that were not made out yet. False: the segment has no more. */
static bool refill(struct spool *spool)
{
    struct spool_reader *reader = &spool->reader;
    uint64_t bytes = spool->segments[reader->segment].bytes;
    if (reader->is_waiting)
        spool->trouble[0] = '\0';
    reader->is_waiting = false;
    if (reader->file < 0 && !open_segment(spool)) {
        if (reader->is_waiting)
            return false;
        reader->position = bytes > SPOOL_HEADER_BYTES ? bytes : SPOOL_HEADER_BYTES; /* to its end */
        return false;
    }
    reader->position += reader->at;
    reader->filled -= reader->at;
    memmove(reader->buffer, reader->buffer + reader->at, reader->filled);
    reader->at = 0;
    if (reader->position + reader->filled >= bytes)
        return false;
    uint64_t left = bytes - reader->position - reader->filled, room = sizeof reader->buffer - reader->filled;
    ssize_t got =
        read_at(reader->file, reader->buffer + reader->filled, left < room ? left : room, reader->position + reader->filled);
    if (got < 0)
        return wait_for_others(spool);
    if (got == 0) { /* somebody cut the file: what is appended later comes behind the hole */
        reader->position = bytes;
        reader->filled = 0;
        return false;
    }
    reader->filled += (size_t)got;
    return true;
}

/* The sequences from `next` to `found` are missing. True once that is counted and they are behind us. */
static bool step_over(struct spool *spool, uint64_t found)
{
    struct spool_reader *reader = &spool->reader;
    if (reader->next >= found)
        return true;
    if (spool->done_before < reader->next)
        return false; /* not yet: messages before the gap are on their way */
    uint64_t missing = spool_step_done(spool, found);
    if (missing > 0)
        spool->lost(spool->context, missing, false);
    reader->next = found;
    return true;
}

/* The segment is read to its end. True when there is another one to go on with. */
static bool go_on(struct spool *spool)
{
    struct spool_reader *reader = &spool->reader;
    bool is_last = reader->segment + 1 == spool->segment_count;
    if (reader->is_waiting || !step_over(spool, is_last ? spool->end : spool->segments[reader->segment + 1].first_sequence) ||
        is_last)
        return false;
    move_to(spool, reader->segment + 1);
    return true;
}

size_t spool_read(struct spool *spool, struct event_message *messages, uint64_t *sequences, size_t limit)
{
    struct spool_reader *reader = &spool->reader;
    size_t count = 0;
    while (count < limit && reader->segment < spool->segment_count) {
        size_t before = reader->at;
        uint64_t sequence;
        if (spool_format_next(reader->buffer, reader->filled, &reader->at, reader->seed, &messages[count], &sequence) ==
            SPOOL_FORMAT_END) {
            if (count > 0 || (!refill(spool) && !go_on(spool))) /* what was found points into the buffer */
                break;
            continue;
        }
        if (sequence < reader->next)
            continue; /* done before we began here */
        if (!step_over(spool, sequence) || sequence - spool->done_before >= SPOOL_WINDOW) {
            reader->at = before;
            break;
        }
        reader->next = sequence + 1;
        if (spool_is_done(spool, sequence))
            continue;
        sequences[count++] = sequence;
    }
    return count;
}

void spool_unread(struct spool *spool, const struct event_message *first, uint64_t sequence)
{
    struct spool_reader *reader = &spool->reader;
    reader->at = (size_t)((const uint8_t *)first->key - reader->buffer) - SPOOL_RECORD_HEADER_BYTES;
    reader->next = sequence;
}

/* With a reader of its own: that of the spool is somewhere else, and stays there. */
void spool_reader_tell(struct spool *spool)
{
    struct spool_reader *mine = malloc(sizeof *mine);
    if (mine == NULL)
        return;
    uint64_t end = spool->segments[1].first_sequence, sequence;
    *mine = spool->reader;
    spool->reader.file = -1;
    move_to(spool, 0);
    struct event_message message;
    do
        while (spool_format_next(spool->reader.buffer, spool->reader.filled, &spool->reader.at, spool->reader.seed, &message,
                                 &sequence) == SPOOL_FORMAT_FOUND)
            if (sequence < end && !spool_is_done(spool, sequence))
                spool->dropped(spool->context, &message, sequence);
    while (refill(spool));
    spool_reader_reset(spool);
    spool->reader = *mine;
    free(mine);
}

uint64_t spool_reader_find_end(struct spool *spool)
{
    struct spool_reader *reader = &spool->reader;
    move_to(spool, spool->segment_count - 1);
    uint64_t end = spool->segments[reader->segment].first_sequence, sequence, sound = SPOOL_HEADER_BYTES;
    do {
        struct event_message message;
        while (spool_format_next(reader->buffer, reader->filled, &reader->at, reader->seed, &message, &sequence) ==
               SPOOL_FORMAT_FOUND)
            if (sequence >= end) {
                end = sequence + 1;
                sound = reader->position + reader->at;
            }
    } while (refill(spool));
    bool is_torn = spool->segments[spool->segment_count - 1].bytes > sound;
    int error = errno;
    spool_reader_reset(spool);
    errno = error;
    return reader->is_waiting ? 0 : end + is_torn; /* something was written there, at least one message */
}
