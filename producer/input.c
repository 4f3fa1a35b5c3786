/* input.c - see input.h.
 *
 * A file that is followed is looked at four times a second: inotify would be quicker, but is silent about what another machine
 * appends to a shared file.
 *
 * Invariant: text[begin, end) was unpacked and not yet given out; `searched` of it went through `record`. A record is either whole
 * in the buffer or being passed over.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "service.h"
#include "unpack.h"

enum {
    RAW_BYTES = 64 * 1024,
    FIRST_TEXT_BYTES = 128 * 1024,
    LOOK_MS = 250,
    UNCLOSED_MAX = 100, /* each costs a look through a whole buffer */
};

struct input {
    char *name, *path; /* path: NULL for stdin */
    int fd;
    int64_t bytes;
    bool is_followed, is_ended;
    bool is_replaced;  /* another file has taken the followed one's name */
    bool is_mark_read; /* the byte order mark, or that there is none */

    struct unpack unpack; /* kind UNPACK_UNKNOWN until the first bytes were seen */
    size_t raw_length;    /* of the first bytes, while they do not tell what they are */
    uint8_t raw[RAW_BYTES];

    char *text;
    size_t capacity, begin, end;
    size_t searched;
    struct record record;
    bool is_passing_over; /* a record that was too long */
    uint64_t line, next_line;
    unsigned unclosed;
};

int64_t input_size(const char *path)
{
    struct stat status;
    bool is_stdin = strcmp(path, "-") == 0;
    if ((is_stdin ? fstat(STDIN_FILENO, &status) : stat(path, &status)) != 0 || !S_ISREG(status.st_mode))
        return -1;
    return status.st_size;
}

static struct input *new_input(const char *path, const struct input_kind *kind)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        return NULL;
    input->fd = -1;
    input->capacity = FIRST_TEXT_BYTES;
    input->text = malloc(input->capacity);
    input->name = strdup(is_stdin ? "stdin" : path);
    input->path = is_stdin ? NULL : strdup(path);
    input->is_followed = kind->is_followed;
    input->record = (struct record){.format = kind->format, .delimiter = kind->delimiter};
    record_begin(&input->record);
    input->next_line = 1;
    if (input->text != NULL && input->name != NULL && (is_stdin || input->path != NULL))
        return input;
    input_close(input);
    return NULL;
}

struct input *input_open(const char *path, const struct input_kind *kind, struct error *err)
{
    struct input *input = new_input(path, kind);
    if (input == NULL) {
        error_set(err, ERROR_RETRY, "no memory to read %s", path);
        return NULL;
    }
    struct stat status;
    input->fd = input->path == NULL ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
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
    unpack_reset(&input->unpack);
    if (input->fd >= 0)
        close(input->fd);
    free(input->text);
    free(input->name);
    free(input->path);
    free(input);
}

/* Waits for bytes or a signal, up to timeout_ms (-1: whoever pipes into us decides how long to think). A hangup is a stop here:
 * there is nothing to reload. INPUT_RECORD: bytes may be there. */
static enum input_answer wait_bytes(struct input *input, bool is_at_end, struct error *err)
{
    struct pollfd wanted[2] = {{.fd = service_fd(), .events = POLLIN}, {.fd = input->fd, .events = POLLIN}};
    for (;;) {
        if (poll(wanted, is_at_end ? 1 : 2, is_at_end ? LOOK_MS : -1) < 0 && errno != EINTR) {
            error_set(err, ERROR_RETRY, "%s: cannot wait for data: %s", input->name, strerror(errno));
            return INPUT_FAILED;
        }
        if (service_is_stopping() || service_take_reload())
            return INPUT_STOPPED;
        if (is_at_end || wanted[1].revents != 0)
            return is_at_end ? INPUT_IDLE : INPUT_RECORD;
    }
}

/* Room for at least half of the buffer behind `end`. */
static bool make_room(struct input *input)
{
    if (input->begin > 0) {
        memmove(input->text, input->text + input->begin, input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->end <= input->capacity / 2)
        return true;
    char *text = realloc(input->text, input->capacity * 2); /* at most 16 MiB: a record of 4 MiB and a little is passed over */
    if (text == NULL)
        return false;
    input->text = text;
    input->capacity *= 2;
    return true;
}

/* The end of a file that is followed: is it still the one that grows? */
static enum input_answer look_again(struct input *input, struct error *err)
{
    struct stat open_one, named;
    if (fstat(input->fd, &open_one) != 0 || !S_ISREG(open_one.st_mode)) {
        input->is_followed = false; /* the end of a pipe is one */
        return INPUT_RECORD;
    }
    if (open_one.st_size < input->bytes) {
        error_set(err, ERROR_RETRY, "%s was cut to %lld bytes after %lld were read: start again to read it anew", input->name,
                  (long long)open_one.st_size, (long long)input->bytes);
        return INPUT_FAILED;
    }
    if (input->path == NULL || stat(input->path, &named) != 0 ||
        (named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev))
        return wait_bytes(input, true, err);
    input->is_replaced = true;
    input->is_followed = false; /* what the old one still holds, and its last line, also without an end */
    return INPUT_RECORD;
}

/* The first bytes that tell what the file is. */
static bool start(struct input *input, struct error *err)
{
    enum unpack_kind kind = unpack_look(input->raw, input->raw_length);
    if (kind == UNPACK_UNKNOWN && !input->is_ended)
        return true;
    if (!unpack_init(&input->unpack, kind == UNPACK_UNKNOWN ? UNPACK_PLAIN : kind, err))
        return error_wrap(err, "%s", input->name);
    if (input->unpack.kind == UNPACK_PLAIN) {
        memcpy(input->text + input->end, input->raw, input->raw_length);
        input->end += input->raw_length;
    } else {
        unpack_feed(&input->unpack, input->raw, input->raw_length);
    }
    return true;
}

static enum input_answer read_bytes(struct input *input, struct error *err)
{
    bool is_plain = input->unpack.kind == UNPACK_PLAIN, is_new = input->unpack.kind == UNPACK_UNKNOWN;
    uint8_t *to = is_plain ? (uint8_t *)input->text + input->end : input->raw + (is_new ? input->raw_length : 0);
    size_t room = is_plain ? input->capacity - input->end - 1 : RAW_BYTES - (is_new ? input->raw_length : 0);
    ssize_t got = read(input->fd, to, room);
    if (got < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return INPUT_RECORD;
        error_set(err, ERROR_RETRY, "%s: cannot be read: %s", input->name, strerror(errno));
        return INPUT_FAILED;
    }
    if (got == 0 && input->is_followed)
        return look_again(input, err);
    input->bytes += got;
    input->is_ended = got == 0;
    if (got == 0 && input->unpack.is_inside) {
        error_set(err, ERROR_REJECT, "%s: the packed data ends too early, behind line %llu", input->name,
                  (unsigned long long)input->next_line - 1);
        return INPUT_FAILED;
    }
    if (is_plain) {
        input->end += (size_t)got;
    } else if (is_new) {
        input->raw_length += (size_t)got;
        return start(input, err) ? INPUT_RECORD : INPUT_FAILED;
    } else {
        unpack_feed(&input->unpack, input->raw, (size_t)got);
    }
    return INPUT_RECORD;
}

/* More text behind `end`, or is_ended, or not yet. INPUT_RECORD: go on. */
static enum input_answer fill(struct input *input, struct error *err)
{
    if (input->unpack.kind > UNPACK_PLAIN && !unpack_is_dry(&input->unpack)) {
        size_t got;
        if (!unpack_run(&input->unpack, input->text + input->end, input->capacity - input->end - 1, &got, err)) {
            error_wrap(err, "%s, behind line %llu", input->name, (unsigned long long)input->next_line - 1);
            return INPUT_FAILED;
        }
        input->end += got;
        return INPUT_RECORD;
    }
    enum input_answer answer = wait_bytes(input, false, err);
    return answer == INPUT_RECORD ? read_bytes(input, err) : answer;
}

/* text[begin, begin + used) was a record: the next one begins behind it. */
static void pass(struct input *input, size_t used)
{
    input->line = input->next_line;
    input->next_line += input->record.newlines > 0 ? input->record.newlines : 1;
    input->begin += used;
    input->searched = 0;
    input->is_passing_over = false;
    record_begin(&input->record);
}

static enum input_answer give(struct input *input, const char **record, size_t *length, struct error *err)
{
    char *text = input->text + input->begin;
    size_t used = input->searched;
    bool is_line = input->record.format != RECORD_MSGPACK, is_too_long = input->is_passing_over;
    pass(input, used);
    if (is_line && used > 0 && text[used - 1] == '\n')
        used--;
    if (is_line && used > 0 && text[used - 1] == '\r')
        used--;
    if (is_too_long || used > INPUT_RECORD_BYTES) {
        error_set(err, ERROR_REJECT, "the %s is longer than 4 MiB", input->record.format == RECORD_NDJSON ? "line" : "record");
        return INPUT_BAD;
    }
    if (is_line) /* behind a msgpack object the next one begins */
        text[used] = '\0';
    *record = text;
    *length = used;
    return INPUT_RECORD;
}

/* A quote that is never closed would swallow all good lines behind it: only the line in which it stands is given up. */
static enum input_answer give_up_quote(struct input *input, const char **record, size_t *length, struct error *err)
{
    char *text = input->text + input->begin;
    size_t left = input->end - input->begin;
    const char *end = memchr(text, '\n', left);
    *record = text;
    *length = end == NULL ? left : (size_t)(end - text);
    text[*length] = '\0';
    input->record.newlines = end != NULL;
    pass(input, end == NULL ? left : *length + 1);
    error_set(err, ERROR_REJECT, "a quote is opened and never closed");
    if (++input->unclosed < UNCLOSED_MAX)
        return INPUT_BAD;
    error_set(err, ERROR_REJECT, "%s: %u lines with a quote that is never closed, the last is %llu: this is another kind of CSV",
              input->name, input->unclosed, (unsigned long long)input->line);
    return INPUT_FAILED;
}

/* What is left at the end of the file is a last record without its end. */
static enum input_answer give_last(struct input *input, const char **record, size_t *length, struct error *err)
{
    if (input->begin == input->end && !input->is_passing_over) {
        if (input->is_replaced)
            error_set(err, ERROR_RETRY, "%s was read to its end, and another file has taken its place: start again to follow that",
                      input->name);
        return input->is_replaced ? INPUT_FAILED : INPUT_END;
    }
    if (record_is_quoted(&input->record) && !input->is_passing_over)
        return give_up_quote(input, record, length, err);
    input->searched = input->end - input->begin;
    enum input_answer answer = give(input, record, length, err);
    if (input->record.format != RECORD_MSGPACK || answer == INPUT_BAD)
        return answer;
    error_set(err, ERROR_REJECT, "the file ends inside the record");
    return INPUT_BAD;
}

/* Passes over a byte order mark. False: too little is there to tell. */
static bool pass_mark(struct input *input)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t left = input->end - input->begin, seen = left < 3 ? left : 3;
    bool may_be = input->record.format != RECORD_MSGPACK && memcmp(input->text + input->begin, mark, seen) == 0;
    if (may_be && seen < 3 && !input->is_ended)
        return false;
    if (may_be && seen == 3)
        input->begin += 3;
    input->is_mark_read = true;
    return true;
}

/* Looks through what is new. *answer is set when true. */
static bool find_record(struct input *input, enum input_answer *answer, const char **record, size_t *length, struct error *err)
{
    if (!input->is_mark_read && !pass_mark(input))
        return false;
    size_t left = input->end - input->begin;
    bool is_whole = false;
    if (left > input->searched)
        input->searched +=
            record_scan(&input->record, input->text + input->begin + input->searched, left - input->searched, &is_whole);
    if (is_whole) {
        *answer = give(input, record, length, err);
    } else if (input->record.is_broken) {
        error_set(err, ERROR_REJECT, "%s: record %llu is no msgpack (byte c1), and where the next begins cannot be known",
                  input->name, (unsigned long long)input->next_line);
        *answer = INPUT_FAILED;
    } else if (input->is_ended) {
        *answer = give_last(input, record, length, err);
    } else if (input->searched > INPUT_RECORD_BYTES && record_is_quoted(&input->record) && !input->is_passing_over) {
        *answer = give_up_quote(input, record, length, err);
    } else {
        if (input->searched > INPUT_RECORD_BYTES + 1) { /* drop what is there and go on to the record's end */
            input->is_passing_over = true;
            input->begin += input->searched;
            input->searched = 0;
        }
        return false;
    }
    return true;
}

enum input_answer input_next(struct input *input, const char **record, size_t *length, struct error *err)
{
    enum input_answer answer;
    *record = NULL;
    *length = 0;
    while (!find_record(input, &answer, record, length, err)) {
        if (!make_room(input)) {
            error_set(err, ERROR_RETRY, "%s: no memory for line %llu", input->name, (unsigned long long)input->next_line);
            return INPUT_FAILED;
        }
        answer = fill(input, err);
        if (answer != INPUT_RECORD)
            return answer;
    }
    return answer;
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
