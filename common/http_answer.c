/* http_answer.c - see http_answer.h. */
#include "common/http_answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

enum { STREAM_BYTES = 64 * 1024, HEADERS = 12 };

struct http_answer {
    unsigned status;
    const char *content_type;
    char *names[HEADERS], *values[HEADERS];
    unsigned header_count;
    FILE *out;                 /* of text */
    char *text;                /* from malloc */
    const void *bytes;         /* constant */
    size_t length;             /* of text or bytes */
    struct http_stream stream; /* read NULL: none */
};

static const char text_type[] = "text/plain; charset=utf-8";

void http_answer_status(struct http_answer *answer, unsigned status, const char *content_type)
{
    answer->status = status;
    answer->content_type = content_type;
}

void http_answer_header(struct http_answer *answer, const char *name, const char *value)
{
    if (answer->header_count == HEADERS)
        return;
    char *copied_name = strdup(name), *copied_value = strdup(value);
    if (copied_name && copied_value) {
        answer->names[answer->header_count] = copied_name;
        answer->values[answer->header_count++] = copied_value;
        return;
    }
    free(copied_name);
    free(copied_value);
}

/* What was there before goes: an answer is one thing. */
static void empty(struct http_answer *answer)
{
    if (answer->out)
        fclose(answer->out);
    free(answer->text);
    if (answer->stream.read)
        answer->stream.close(answer->stream.context);
    answer->out = NULL;
    answer->text = NULL;
    answer->bytes = NULL;
    answer->length = 0;
    answer->stream = (struct http_stream){NULL, NULL, NULL};
}

FILE *http_answer_body(struct http_answer *answer)
{
    empty(answer);
    answer->out = open_memstream(&answer->text, &answer->length);
    if (!answer->out)
        answer->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    return answer->out;
}

void http_answer_constant(struct http_answer *answer, const void *bytes, size_t length)
{
    empty(answer);
    answer->bytes = bytes;
    answer->length = length;
}

void http_answer_take(struct http_answer *answer, char *bytes, size_t length)
{
    empty(answer);
    answer->text = bytes;
    answer->length = length;
}

void http_answer_stream(struct http_answer *answer, struct http_stream stream)
{
    empty(answer);
    answer->stream = stream;
}

void http_answer_text(struct http_answer *answer, unsigned status, const char *text)
{
    FILE *out = http_answer_body(answer);
    http_answer_status(answer, status, text_type);
    if (out)
        fputs(text, out);
}

/* ---- sending ---- */

static ssize_t read_stream(void *context, uint64_t position, char *bytes, size_t size)
{
    struct http_stream *stream = context;
    (void)position;
    const ssize_t count = stream->read(stream->context, bytes, size);
    return count > 0 ? count : count == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void close_stream(void *context)
{
    struct http_stream *stream = context;
    stream->close(stream->context);
    free(stream);
}

/* The response takes over what the answer holds of a body. */
static struct MHD_Response *make_streamed(struct http_answer *answer)
{
    struct http_stream *stream = malloc(sizeof *stream);
    if (!stream)
        return NULL;
    *stream = answer->stream;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, stream, close_stream);
    if (response)
        answer->stream.read = NULL;
    else
        free(stream);
    return response;
}

static struct MHD_Response *make_response(struct http_answer *answer)
{
    if (answer->stream.read)
        return make_streamed(answer);
    if (answer->out && fclose(answer->out) != 0) {
        answer->out = NULL;
        return NULL;
    }
    answer->out = NULL;
    if (!answer->text)
        return MHD_create_response_from_buffer(answer->length, (void *)(uintptr_t)answer->bytes, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response = MHD_create_response_from_buffer(answer->length, answer->text, MHD_RESPMEM_MUST_FREE);
    if (response)
        answer->text = NULL;
    return response;
}

struct http_answer *http_answer_new(void)
{
    struct http_answer *answer = calloc(1, sizeof *answer);
    if (answer)
        answer->status = MHD_HTTP_OK;
    return answer;
}

void http_answer_free(struct http_answer *answer)
{
    empty(answer);
    for (unsigned i = 0; i < answer->header_count; i++) {
        free(answer->names[i]);
        free(answer->values[i]);
    }
    free(answer);
}

bool http_answer_send(struct http_answer *answer, struct MHD_Connection *connection, const struct http_header *headers)
{
    struct MHD_Response *response = make_response(answer);
    bool is_sent = false;
    if (response) {
        if (answer->content_type)
            MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
        for (; headers && headers->name; headers++)
            MHD_add_response_header(response, headers->name, headers->value);
        for (unsigned i = 0; i < answer->header_count; i++)
            MHD_add_response_header(response, answer->names[i], answer->values[i]);
        is_sent = MHD_queue_response(connection, answer->status, response) == MHD_YES;
        MHD_destroy_response(response);
    }
    http_answer_free(answer);
    return is_sent;
}
