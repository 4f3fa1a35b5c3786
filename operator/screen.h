/* screen.h - a terminal as a picture that is drawn anew, without curses: the alternate screen, its size, keys.
 *
 * One screen a process, main thread. Whatever ends the program (q, SIGINT, SIGTERM, SIGHUP), screen_close() gives the terminal back
 * as it was.
 */
#ifndef TALLYMILL_OPERATOR_SCREEN_H
#define TALLYMILL_OPERATOR_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether stdin and stdout are a terminal that a picture can be drawn on. */
bool screen_is_possible(void);

/* Takes the terminal: keys come one by one and are not shown, the picture is drawn beside what stood there. */
void screen_open(void);
void screen_close(void);

/* The rows and columns as they are now; 24 and 80 where the terminal does not say. */
void screen_size(int *rows, int *columns);

/* Draws the lines of `text` over the last picture in one write, so that nothing flickers: each cut to `columns`, no more than
 * `rows` of them. A column is taken by each character; escape sequences of ours ("\x1b[...m") take none. False: the terminal is
 * gone. */
bool screen_draw(const char *text, int rows, int columns);

/* What screen_draw() writes, without the terminal: NUL-terminated, owned by the caller (free); NULL: no memory. */
char *screen_picture(const char *text, int rows, int columns, size_t *length);

enum { SCREEN_TIME = 0, SCREEN_RESIZED = -1, SCREEN_END = -2 };

/* Waits for a key at most wait_ms: the key (above 0), SCREEN_TIME, SCREEN_RESIZED, or SCREEN_END: a signal asks for the end, or the
 * terminal is gone. */
int screen_key(int wait_ms);

#endif
