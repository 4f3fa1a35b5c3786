/* screen.c - see screen.h.
 *
 * Escape sequences of ECMA-48 and the two private ones that every terminal of today knows (1049 the alternate screen, 25 the
 * cursor). Each line is written over the one before and its rest erased, so nothing is blank meanwhile. Rejected: curses, which
 * wants the terminal for itself and a description of it, for six sequences.
 */
#include "operator/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/utf8.h"

static struct termios before;
static bool is_open;
static volatile sig_atomic_t was_resized, must_end;

static void on_signal(int number)
{
    if (number == SIGWINCH) {
        was_resized = 1;
    } else {
        must_end = 1;
    }
}

bool screen_is_possible(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

/* False: the terminal is gone. */
static bool write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t got = write(STDOUT_FILENO, bytes, length);
        if (got < 0 && errno == EINTR && !must_end) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        bytes += got;
        length -= (size_t)got;
    }
    return true;
}

static void write_text(const char *text)
{
    (void)write_all(text, strlen(text)); /* a terminal that is gone shows when the next picture is drawn */
}

void screen_open(void)
{
    static const int numbers[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: poll() returns */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], &action, NULL);
    }
    if (tcgetattr(STDIN_FILENO, &before) == 0) {
        struct termios raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: Ctrl-C is a signal */
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        is_open = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    }
    write_text("\x1b[?1049h\x1b[?25l\x1b[2J");
}

void screen_close(void)
{
    must_end = 0;
    write_text("\x1b[?25h\x1b[?1049l");
    if (is_open) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        is_open = false;
    }
}

void screen_size(int *rows, int *columns)
{
    struct winsize size = {0};
    const bool is_told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    *rows = is_told ? size.ws_row : 24;
    *columns = is_told ? size.ws_col : 80;
}

/* The bytes of the escape sequence at `at`, of the kind "\x1b[1m"; 0: there is none. */
static size_t sequence_at(const char *at)
{
    if (at[0] != '\x1b' || at[1] != '[') {
        return 0;
    }
    const size_t length = 2 + strspn(at + 2, "0123456789;");
    return at[length] == 'm' ? length + 1 : 0;
}

/* One line, up to its newline, as far as the columns go. What stood behind it is erased, unless it fills its row: there the cursor
 * would stand on the last character. */
static const char *put_line(FILE *out, const char *at, int columns)
{
    while (*at != '\0' && *at != '\n') {
        size_t length = sequence_at(at);
        const bool is_seen = length == 0;
        if (is_seen) {
            length = utf8_character((const unsigned char *)at, strnlen(at, 4));
            length = length > 0 ? length : 1;
            columns--;
        }
        if (!is_seen || columns >= 0) {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
    fputs(columns > 0 ? "\x1b[0m\x1b[K" : "\x1b[0m", out);
    return *at == '\n' ? at + 1 : at;
}

char *screen_picture(const char *text, int rows, int columns, size_t *length)
{
    char *picture = NULL;
    FILE *out = open_memstream(&picture, length);
    if (!out) {
        return NULL;
    }
    fputs("\x1b[H", out);
    int row = 0;
    for (; row < rows && *text != '\0'; row++) {
        fputs(row > 0 ? "\r\n" : "", out); /* none behind the last: it would roll the picture */
        text = put_line(out, text, columns);
    }
    fputs(row > 0 && row < rows ? "\r\n\x1b[J" : row == 0 ? "\x1b[J" : "", out);
    if (fclose(out) != 0) {
        free(picture);
        return NULL;
    }
    return picture;
}

bool screen_draw(const char *text, int rows, int columns)
{
    size_t length = 0;
    char *picture = screen_picture(text, rows, columns, &length);
    const bool is_written = picture && write_all(picture, length);
    free(picture);
    return is_written;
}

int screen_key(int wait_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char key = 0;
    if (must_end) {
        return SCREEN_END;
    }
    if (was_resized) {
        was_resized = 0;
        return SCREEN_RESIZED;
    }
    if (poll(&input, 1, wait_ms) <=
        0) { /* a signal that came meanwhile is told at the next call, and a key that was read is never left for it */
        return SCREEN_TIME;
    }
    return read(STDIN_FILENO, &key, 1) > 0 ? key : SCREEN_END;
}
