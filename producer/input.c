/* input.c - see input.h.
 *
 * read(2) and zlib's inflate by hand: gzopen() reads plain files too, but waits until its buffer is full, so that a line piped in
 * by hand or by tail -f would lie there unsent. Whether the bytes are gzip is told by their first two, not by the name.
 *
 * Invariant: text[begin, end) was decoded and not yet given out; a line is either whole in it or being skipped.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "error.h"
#include "service.h"

enum { RAW_BYTES = 64 * 1024, FIRST_TEXT_BYTES = 128 * 1024 };

struct input {
    char *name;
    int fd;
    int64_t bytes;
    uint64_t line;

    bool is_started; /* the first bytes were seen */
    bool is_gzip, is_in_member;
    bool is_ended;
    z_stream inflate;
    uint8_t raw[RAW_BYTES]; /* as they lie in the file; what inflate has not used yet stands in inflate.next_in */

    char *text;
    size_t capacity, begin, end;
    size_t searched; /* of text[begin, end): no LF in it */
};

int64_t input_size(const char *path)
{
    struct stat status;
    bool is_stdin = strcmp(path, "-") == 0;
    if ((is_stdin ? fstat(STDIN_FILENO, &status) : stat(path, &status)) != 0 || !S_ISREG(status.st_mode))
        return -1;
    return status.st_size;
}

struct input *input_open(const char *path, struct error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct input *input = calloc(1, sizeof *input);
    if (input != NULL) {
        input->fd = -1;
        input->capacity = FIRST_TEXT_BYTES;
        input->text = malloc(input->capacity);
        input->name = strdup(is_stdin ? "stdin" : path);
    }
    if (input == NULL || input->text == NULL || input->name == NULL) {
        error_set(err, ERROR_RETRY, "no memory to read %s", path);
        input_close(input);
        return NULL;
    }
    struct stat status;
    input->fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &status) != 0 || (S_ISDIR(status.st_mode) && (errno = EISDIR))) {
        error_set(err, ERROR_USAGE, "cannot read %s: %s", input->name, strerror(errno));
        input_close(input);
        return NULL;
    }
    return input;
}

void input_close(struct input *input)
{
    if (input == NULL)
        return;
    if (input->is_gzip)
        inflateEnd(&input->inflate);
    if (input->fd >= 0)
        close(input->fd);
    free(input->text);
    free(input->name);
    free(input);
}

/* Waits for bytes or a signal. Without a deadline: whoever pipes into us decides how long to think. A hangup is a stop here: there
 * is nothing to reload. */
static enum input_answer wait_bytes(struct input *input, struct error *err)
{
    struct pollfd wanted[2] = {{.fd = input->fd, .events = POLLIN}, {.fd = service_fd(), .events = POLLIN}};
    for (;;) {
        if (poll(wanted, 2, -1) < 0 && errno != EINTR) {
            error_set(err, ERROR_RETRY, "%s: cannot wait for data: %s", input->name, strerror(errno));
            return INPUT_FAILED;
        }
        if (service_is_stopping() || service_take_reload())
            return INPUT_STOPPED;
        if (wanted[0].revents != 0)
            return INPUT_LINE;
    }
}

/* Room for at least half of the buffer behind `end`; false when a line fills more than is allowed. */
static bool make_room(struct input *input)
{
    if (input->begin > 0) {
        memmove(input->text, input->text + input->begin, input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->end <= input->capacity / 2)
        return true;
    if (input->capacity > INPUT_LINE_BYTES * 2)
        return false;
    char *text = realloc(input->text, input->capacity * 2);
    if (text == NULL)
        return false;
    input->text = text;
    input->capacity *= 2;
    return true;
}

static bool start(struct input *input, size_t got, struct error *err)
{
    input->is_started = true;
    input->is_gzip = got >= 2 && input->raw[0] == 0x1f && input->raw[1] == 0x8b;
    input->is_in_member = input->is_gzip;
    if (input->is_gzip && inflateInit2(&input->inflate, 15 + 16) != Z_OK) {
        input->is_gzip = false;
        return error_set(err, ERROR_RETRY, "%s: no memory to unpack it", input->name);
    }
    return true;
}

/* Unpacks what inflate has, into the room left. */
static bool unpack(struct input *input, struct error *err)
{
    z_stream *stream = &input->inflate;
    stream->next_out = (uint8_t *)input->text + input->end;
    stream->avail_out = (unsigned)(input->capacity - input->end - 1);
    if (!input->is_in_member) { /* files may be several gzip members one behind the other */
        inflateReset(stream);
        input->is_in_member = true;
    }
    int code = inflate(stream, Z_NO_FLUSH);
    input->end = (size_t)((char *)stream->next_out - input->text);
    if (code == Z_STREAM_END)
        input->is_in_member = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return error_set(err, ERROR_REJECT, "%s: the gzip data is damaged behind line %llu: %s", input->name,
                         (unsigned long long)input->line, stream->msg != NULL ? stream->msg : "unknown");
    return true;
}

/* More text behind `end`, or is_ended. */
static enum input_answer fill(struct input *input, struct error *err)
{
    if (input->is_gzip && input->inflate.avail_in > 0)
        return unpack(input, err) ? INPUT_LINE : INPUT_FAILED;
    enum input_answer answer = wait_bytes(input, err);
    if (answer != INPUT_LINE)
        return answer;
    char *to = input->is_started && !input->is_gzip ? input->text + input->end : (char *)input->raw;
    size_t room = to == (char *)input->raw ? sizeof input->raw : input->capacity - input->end - 1;
    ssize_t got = read(input->fd, to, room);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return INPUT_LINE;
    if (got < 0) {
        error_set(err, ERROR_RETRY, "cannot read %s: %s", input->name, strerror(errno));
        return INPUT_FAILED;
    }
    input->bytes += got;
    input->is_ended = got == 0;
    if (got == 0 && input->is_gzip && input->is_in_member) {
        error_set(err, ERROR_REJECT, "%s: the gzip data ends too early, behind line %llu", input->name,
                  (unsigned long long)input->line);
        return INPUT_FAILED;
    }
    if (!input->is_started && got > 0 && !start(input, (size_t)got, err))
        return INPUT_FAILED;
    if (input->is_gzip) {
        input->inflate.next_in = input->raw;
        input->inflate.avail_in = (unsigned)got;
    } else if (to == (char *)input->raw) { /* the first bytes of a plain file */
        memcpy(input->text + input->end, input->raw, (size_t)got);
        input->end += (size_t)got;
    } else {
        input->end += (size_t)got;
    }
    return INPUT_LINE;
}

/* text[begin, begin + length) is a line: gives it out, and `used` bytes are done with. */
static enum input_answer give(struct input *input, size_t length, size_t used, const char **line, size_t *line_length)
{
    char *text = input->text + input->begin;
    input->begin += used;
    input->searched = 0;
    input->line++;
    if (length > INPUT_LINE_BYTES)
        return INPUT_LONG;
    if (input->line == 1 && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    if (length > 0 && text[length - 1] == '\r')
        length--;
    text[length] = '\0';
    *line = text;
    *line_length = length;
    return INPUT_LINE;
}

enum input_answer input_next(struct input *input, const char **line, size_t *length, struct error *err)
{
    bool is_long = false;
    for (;;) {
        size_t left = input->end - input->begin;
        const char *text = input->text + input->begin;
        const char *end = left > input->searched ? memchr(text + input->searched, '\n', left - input->searched) : NULL;
        if (end != NULL || (input->is_ended && (left > 0 || is_long))) {
            size_t whole = end != NULL ? (size_t)(end - text) : left;
            return give(input, is_long ? INPUT_LINE_BYTES + 1 : whole, end != NULL ? whole + 1 : left, line, length);
        }
        if (input->is_ended)
            return INPUT_END;
        input->searched = left;
        if (left > INPUT_LINE_BYTES) { /* drop what is there and go on to the line's end */
            is_long = true;
            input->begin = input->end;
            input->searched = 0;
        }
        if (!make_room(input)) {
            error_set(err, ERROR_RETRY, "%s: no memory for line %llu", input->name, (unsigned long long)input->line + 1);
            return INPUT_FAILED;
        }
        enum input_answer answer = fill(input, err);
        if (answer != INPUT_LINE)
            return answer;
    }
}

const char *input_name(const struct input *input)
{
    return input->name;
}

uint64_t input_line(const struct input *input)
{
    return input->line;
}

int64_t input_bytes(const struct input *input)
{
    return input->bytes;
}
