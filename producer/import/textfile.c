/* textfile.c - see textfile.h.
 *
 * A file that is followed is looked at four times a second: inotify would be quicker, but is silent about what another machine
 * appends to a shared file.
 *
 * What the bytes are is recognised by the first of them: compressed or not, and then, of what was decompressed, UTF-16 or not.
 * iconv was rejected: it would need the whole of a file's encoding by name, and what else it knows nobody can tell from a file.
 */
#include "producer/import/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/service.h"
#include "producer/import/decompress.h"
#include "producer/import/utf16.h"

enum { RAW_BYTES = 64 * 1024, WIDE_BYTES = 32 * 1024, LOOK_MS = 250, MARK_BYTES = 4 };

enum charset { CHARSET_UNKNOWN, CHARSET_BYTES, CHARSET_UTF16 };

struct textfile {
    char *name, *path; /* path: NULL for stdin */
    int fd;
    int64_t bytes;
    bool is_followed, is_ended, is_replaced;

    struct decompress decompress; /* kind DECOMPRESS_UNKNOWN until the first bytes were seen */
    size_t raw_length;            /* of the first bytes, while they do not tell what they are */
    uint8_t raw[RAW_BYTES];

    enum charset charset;
    struct utf16 utf16;
    size_t wide_length; /* decompressed, and not decoded yet */
    uint8_t wide[WIDE_BYTES];
};

struct textfile *textfile_open(const char *path, bool is_followed, bool is_binary, struct error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct textfile *file = calloc(1, sizeof *file);
    if (file != NULL) {
        *file = (struct textfile){.fd = -1, .is_followed = is_followed, .charset = is_binary ? CHARSET_BYTES : CHARSET_UNKNOWN};
        file->name = strdup(is_stdin ? "stdin" : path);
        file->path = is_stdin ? NULL : strdup(path);
    }
    if (file == NULL || file->name == NULL || (!is_stdin && file->path == NULL)) {
        error_set(err, ERROR_RETRY, "no memory to read %s", path);
        textfile_close(file);
        return NULL;
    }
    struct stat status;
    file->fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd >= 0 && fstat(file->fd, &status) == 0 && (!S_ISDIR(status.st_mode) || (errno = EISDIR) == 0))
        return file;
    error_set(err, ERROR_USAGE, "cannot read %s: %s", file->name, strerror(errno));
    textfile_close(file);
    return NULL;
}

void textfile_close(struct textfile *file)
{
    if (file == NULL)
        return;
    decompress_reset(&file->decompress);
    if (file->fd >= 0)
        close(file->fd);
    free(file->name);
    free(file->path);
    free(file);
}

/* Waits for bytes or a signal; whoever pipes into us decides how long to think. A hangup is a stop here: there is nothing to
 * reload. TEXTFILE_BYTES: bytes may be there. */
static enum textfile_answer wait_bytes(struct textfile *file, bool is_at_end, struct error *err)
{
    struct pollfd wanted[2] = {{.fd = service_fd(), .events = POLLIN}, {.fd = file->fd, .events = POLLIN}};
    for (;;) {
        if (poll(wanted, is_at_end ? 1 : 2, is_at_end ? LOOK_MS : -1) < 0 && errno != EINTR) {
            error_set(err, ERROR_RETRY, "cannot wait for data: %s", strerror(errno));
            return TEXTFILE_FAILED;
        }
        if (service_is_stopping() || service_take_reload())
            return TEXTFILE_STOPPED;
        if (is_at_end || wanted[1].revents != 0)
            return is_at_end ? TEXTFILE_IDLE : TEXTFILE_BYTES;
    }
}

/* The end of a file that is followed: is it still the one that grows? */
static enum textfile_answer look_again(struct textfile *file, struct error *err)
{
    struct stat open_one, named;
    if (fstat(file->fd, &open_one) != 0 || !S_ISREG(open_one.st_mode)) {
        file->is_followed = false; /* the end of a pipe is one */
        return TEXTFILE_BYTES;
    }
    if (open_one.st_size < file->bytes) {
        error_set(err, ERROR_RETRY, "it was cut to %lld bytes after %lld were read: start again to read it anew",
                  (long long)open_one.st_size, (long long)file->bytes);
        return TEXTFILE_FAILED;
    }
    if (file->path == NULL || stat(file->path, &named) != 0 || (named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev))
        return wait_bytes(file, true, err);
    file->is_replaced = true;
    file->is_followed = false; /* what the old one still holds, and its last line, also without an end */
    return TEXTFILE_BYTES;
}

/* Once the first bytes tell, or no more come, everything goes through `decompress`. */
static bool start(struct textfile *file, struct error *err)
{
    enum decompress_kind kind = decompress_look(file->raw, file->raw_length);
    if (kind == DECOMPRESS_UNKNOWN && !file->is_ended)
        return true;
    if (!decompress_init(&file->decompress, kind == DECOMPRESS_UNKNOWN ? DECOMPRESS_PLAIN : kind, err))
        return false;
    decompress_feed(&file->decompress, file->raw, file->raw_length);
    return true;
}

static enum textfile_answer read_raw(struct textfile *file, struct error *err)
{
    bool is_new = file->decompress.kind == DECOMPRESS_UNKNOWN;
    size_t held = is_new ? file->raw_length : 0;
    ssize_t got = read(file->fd, file->raw + held, RAW_BYTES - held);
    if (got < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return TEXTFILE_BYTES;
        error_set(err, ERROR_RETRY, "cannot be read: %s", strerror(errno));
        return TEXTFILE_FAILED;
    }
    if (got == 0 && file->is_followed)
        return look_again(file, err);
    file->bytes += got;
    file->is_ended = got == 0;
    if (got == 0 && file->decompress.is_inside) {
        error_set(err, ERROR_REJECT, "the packed data ends too early");
        return TEXTFILE_FAILED;
    }
    if (is_new) {
        file->raw_length += (size_t)got;
        return start(file, err) ? TEXTFILE_BYTES : TEXTFILE_FAILED;
    }
    decompress_feed(&file->decompress, file->raw, (size_t)got);
    return TEXTFILE_BYTES;
}

/* Two ASCII characters of UTF-16 that came without its mark: no text has NULs elsewhere. */
static bool is_unmarked(const uint8_t *bytes, bool is_big)
{
    return bytes[is_big] != 0 && bytes[!is_big] == 0 && bytes[2 + is_big] != 0 && bytes[2 + !is_big] == 0;
}

static bool refuse_wider(struct error *err)
{
    return error_set(err, ERROR_USAGE, "it is UTF-32: say iconv -f UTF-32 -t UTF-8 FILE | tallymill-produce ...");
}

/* The mark with which UTF-16 begins, or that it goes without. CHARSET_UNKNOWN: too little is there to tell. False: ERROR_USAGE, it
 * is not read. */
static bool look_at_charset(struct textfile *file, struct error *err)
{
    const uint8_t *mark = file->wide;
    size_t length = file->wide_length;
    if (length >= MARK_BYTES && (is_unmarked(mark, false) || is_unmarked(mark, true))) {
        file->charset = CHARSET_UTF16;
        file->utf16 = (struct utf16){.is_big = is_unmarked(mark, true)};
        return true;
    }
    static const uint8_t wider_mark[] = {0, 0, 0xfe, 0xff};
    if (length >= MARK_BYTES && memcmp(mark, wider_mark, MARK_BYTES) == 0)
        return refuse_wider(err);
    bool may_be = length > 0 && (mark[0] == 0xff || mark[0] == 0xfe) && (length < 2 || mark[0] + mark[1] == 0xff + 0xfe);
    if (length > 0 && length < MARK_BYTES && !file->is_ended && memchr(mark, 0, length) != NULL)
        return true;
    file->charset = CHARSET_BYTES;
    if (!may_be)
        return true;
    if (length < MARK_BYTES && !file->is_ended) {
        file->charset = CHARSET_UNKNOWN;
        return true;
    }
    if (length < 2)
        return true;
    if (length >= MARK_BYTES && mark[0] == 0xff && mark[2] == 0 && mark[3] == 0)
        return refuse_wider(err);
    file->charset = CHARSET_UTF16;
    file->utf16 = (struct utf16){.is_big = mark[0] == 0xfe};
    file->wide_length -= 2;
    memmove(file->wide, file->wide + 2, file->wide_length);
    return true;
}

/* What is in `wide` goes into the room: decoded, or as it is. */
static bool give_wide(struct textfile *file, char *room, size_t length, size_t *got, struct error *err)
{
    if (file->charset == CHARSET_UNKNOWN && !look_at_charset(file, err))
        return false;
    if (file->charset == CHARSET_UNKNOWN)
        return true;
    bool is_wide = file->charset == CHARSET_UTF16;
    size_t most = is_wide ? (length - UTF16_GROWTH) / UTF16_GROWTH : length,
           used = file->wide_length < most ? file->wide_length : most;
    if (is_wide) {
        used = utf16_decode(&file->utf16, file->wide, used, room, got);
    } else {
        memcpy(room, file->wide, used);
        *got = used;
    }
    file->wide_length -= used;
    memmove(file->wide, file->wide + used, file->wide_length);
    if (*got == 0 && file->is_ended && file->wide_length > 0) { /* half a character at the end: no UTF-8 either */
        room[0] = (char)file->wide[0];
        room[1] = '\xff';
        *got = 2;
        file->wide_length = 0;
    }
    return true;
}

enum textfile_answer textfile_read(struct textfile *file, char *room, size_t length, size_t *got, struct error *err)
{
    *got = 0;
    bool is_direct = file->charset == CHARSET_BYTES && file->wide_length == 0;
    if (!is_direct && file->wide_length > 0) {
        if (!give_wide(file, room, length, got, err))
            return TEXTFILE_FAILED;
        if (*got > 0)
            return TEXTFILE_BYTES;
    }
    if (file->decompress.kind != DECOMPRESS_UNKNOWN && !decompress_is_dry(&file->decompress)) {
        size_t decompressed;
        bool ok = is_direct ? decompress_run(&file->decompress, room, length, got, err)
                            : decompress_run(&file->decompress, file->wide + file->wide_length, WIDE_BYTES - file->wide_length,
                                             &decompressed, err);
        if (ok && !is_direct)
            file->wide_length += decompressed;
        return ok ? TEXTFILE_BYTES : TEXTFILE_FAILED;
    }
    if (file->is_ended)
        return TEXTFILE_END;
    enum textfile_answer answer = wait_bytes(file, false, err);
    return answer == TEXTFILE_BYTES ? read_raw(file, err) : answer;
}

const char *textfile_name(const struct textfile *file)
{
    return file->name;
}

int64_t textfile_bytes(const struct textfile *file)
{
    return file->bytes;
}

bool textfile_is_replaced(const struct textfile *file)
{
    return file->is_replaced;
}
