/* copy_stream.h - a batch's rows, and its dead letters, on their way through a COPY that is open.
 *
 * Never waits: hands over what the socket takes now. One thread.
 */
#ifndef TALLYMILL_CONSUMER_COPY_STREAM_H
#define TALLYMILL_CONSUMER_COPY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "consumer/dead_letter.h"

struct batch;

enum copy_stream_state {
    COPY_STREAM_FULL,  /* the socket takes no more for now */
    COPY_STREAM_ENDED, /* all of it is sent, and the end of COPY behind it */
    COPY_STREAM_BROKEN /* as libpq says; trouble says at what */
};

struct copy_stream {
    PGconn *conn;
    struct batch *batch; /* borrowed; its rows are written to: they get the batch's id */
    const char *topic;   /* borrowed */
    int64_t batch_id;
    const char *trouble;
    size_t sent;      /* bytes of the batch given to libpq */
    int rows_with_id; /* so many tuples know their batch */
    int sent_rows;    /* for the failpoint */
    int dead_sent;
    struct dead_letter_buffer dead_buffer; /* kept from batch to batch */
};

/* Begins anew, with another batch. */
void copy_stream_begin(struct copy_stream *stream, PGconn *conn, struct batch *batch);
void copy_stream_reset(struct copy_stream *stream);

/* Goes on; *has_moved is set where bytes were handed over. */
enum copy_stream_state copy_stream_rows(struct copy_stream *stream, bool *has_moved);
enum copy_stream_state copy_stream_dead_letters(struct copy_stream *stream, bool *has_moved);

#endif
