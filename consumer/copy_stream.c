/* copy_stream.c - see copy_stream.h.
 *
 * Rows go as they lie in the batch, 64 KiB at a time: libpq copies what it is given into its own buffer, which would otherwise grow
 * to the batch's size. They get their batch's id just before, while they are warm for the copy.
 */
#include "consumer/copy_stream.h"

#include <stdlib.h>

#include "common/failpoint.h"
#include "common/tuple.h"
#include "consumer/batch.h"

enum { CHUNK_BYTES = 64 * 1024 };

void copy_stream_begin(struct copy_stream *stream, PGconn *conn, struct batch *batch)
{
    *stream = (struct copy_stream){.conn = conn, .batch = batch, .topic = stream->topic, .dead_buffer = stream->dead_buffer};
}

void copy_stream_reset(struct copy_stream *stream)
{
    free(stream->dead_buffer.bytes);
    stream->dead_buffer = (struct dead_letter_buffer){0};
}

static enum copy_stream_state is_broken(struct copy_stream *stream, const char *trouble)
{
    stream->trouble = trouble;
    return COPY_STREAM_BROKEN;
}

static enum copy_stream_state end_copy(struct copy_stream *stream)
{
    if (PQputCopyData(stream->conn, COPY_TRAILER, COPY_TRAILER_BYTES) != 1 || PQputCopyEnd(stream->conn, NULL) != 1)
        return is_broken(stream, "cannot end COPY");
    return COPY_STREAM_ENDED;
}

/* Rows wholly inside the first `sent` bytes, for the failpoint that counts them. */
static void count_sent_rows(struct copy_stream *stream)
{
#ifdef TALLYMILL_FAILPOINTS
    const struct batch *batch = stream->batch;
    while (stream->sent_rows < batch->row_count &&
           batch->rows[stream->sent_rows].start + batch->rows[stream->sent_rows].length <= stream->sent)
        stream->sent_rows++;
    FAILPOINT_COUNT("mid_copy", stream->sent_rows);
#else
    (void)stream;
#endif
}

enum copy_stream_state copy_stream_rows(struct copy_stream *stream, bool *has_moved)
{
    const size_t end = stream->batch->used;
    while (stream->sent != end) { /* ends: with the rows */
        const size_t left = end - stream->sent, chunk = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        stream->rows_with_id = batch_set_id(stream->batch, stream->rows_with_id, stream->sent + chunk, stream->batch_id);
        if (PQputCopyData(stream->conn, (const char *)stream->batch->bytes + stream->sent, (int)chunk) != 1)
            return is_broken(stream, "cannot send rows to Postgres");
        stream->sent += chunk;
        *has_moved = true;
        const int flushed = PQflush(stream->conn);
        count_sent_rows(stream);
        if (flushed != 0)
            return flushed == 1 ? COPY_STREAM_FULL : is_broken(stream, "cannot send rows to Postgres");
    }
    return end_copy(stream);
}

enum copy_stream_state copy_stream_dead_letters(struct copy_stream *stream, bool *has_moved)
{
    const struct batch *batch = stream->batch;
    if (stream->dead_sent == 0 && PQputCopyData(stream->conn, COPY_HEADER, COPY_HEADER_BYTES) != 1)
        return is_broken(stream, "cannot send dead letters to Postgres");
    while (stream->dead_sent != batch->dead_count) { /* ends: with the dead letters */
        if (!dead_letter_send(&stream->dead_buffer, stream->conn, &batch->dead[stream->dead_sent], stream->topic, stream->batch_id))
            return is_broken(stream, "cannot send dead letters to Postgres");
        stream->dead_sent++;
        *has_moved = true;
        const int flushed = PQflush(stream->conn);
        if (flushed != 0)
            return flushed == 1 ? COPY_STREAM_FULL : is_broken(stream, "cannot send dead letters to Postgres");
    }
    return end_copy(stream);
}
