/* http_answer.h - how a request is answered (http.h): status, headers, and a body that is written, constant or streamed.
 *
 * An answer is handed to the function of http_options, with status 200 and without a body. In that thread.
 */
#ifndef TALLYMILL_COMMON_HTTP_ANSWER_H
#define TALLYMILL_COMMON_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct MHD_Connection;
struct http_answer;

struct http_header {
    const char *name, *value;
};

/* A body that is made while it is sent. */
struct http_stream {
    /* Writes up to `size` bytes and returns how many, 0 at the end, -1 where it breaks off (the client sees that). May wait. */
    ssize_t (*read)(void *context, char *bytes, size_t size);
    void (*close)(void *context); /* the answer is over, whether it was sent whole or not */
    void *context;
};

/* content_type is constant ("text/plain; charset=utf-8"). */
void http_answer_status(struct http_answer *answer, unsigned status, const char *content_type);

/* One more header; both texts are copied. Dropped where there are twelve. */
void http_answer_header(struct http_answer *answer, const char *name, const char *value);

/* Where the body is written: the answer's, closed by it. NULL: no memory, and the answer is a 500. */
FILE *http_answer_body(struct http_answer *answer);

/* Bytes that stay as they are for as long as the server lives; from malloc, taken over; streamed, taken over (read is called in the
 * server's thread). Each instead of http_answer_body(). */
void http_answer_constant(struct http_answer *answer, const void *bytes, size_t length);
void http_answer_take(struct http_answer *answer, char *bytes, size_t length);
void http_answer_stream(struct http_answer *answer, struct http_stream stream);

/* A line of text as the whole answer. */
void http_answer_text(struct http_answer *answer, unsigned status, const char *text);

/* For http.c: an empty answer with status 200, and its end, which hands it to the library with the headers of every answer (a NULL
 * name ends them), or only gives it up. NULL, false: no memory. */
struct http_answer *http_answer_new(void);
bool http_answer_send(struct http_answer *answer, struct MHD_Connection *connection, const struct http_header *headers);
void http_answer_free(struct http_answer *answer);

#endif
