/* progress.c - see progress.h. */
#include "common/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/number_text.h"

enum { DRAW_US = 200000, BAR_WIDTH = 24 };

void progress_init(struct progress *progress, const char *noun, int64_t total, int64_t now_us)
{
    *progress = (struct progress){.is_shown = isatty(STDERR_FILENO) == 1, .noun = noun, .start_us = now_us, .total = total};
}

static const char *format_left(char text[32], double seconds)
{
    if (seconds < 100)
        snprintf(text, 32, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, 32, "%.0f min", seconds / 60);
    else
        snprintf(text, 32, "%.1f h", seconds < 3.6e7 ? seconds / 3600 : 9999.9);
    return text;
}

size_t progress_format(char text[PROGRESS_TEXT_BYTES], const char *noun, int64_t done, int64_t total, uint64_t count,
                       int64_t elapsed_us)
{
    char number[32], rate[32], left[32];
    double seconds = elapsed_us < 1 ? 1e-6 : (double)elapsed_us / 1e6;
    number_text(number, (int64_t)count);
    double per_second = (double)count / seconds;
    number_text(rate, per_second < 1e18 ? (uint64_t)per_second : 0);
    if (total <= 0)
        return (size_t)snprintf(text, PROGRESS_TEXT_BYTES, "%s %s  %s/s", number, noun, rate);
    double share = (double)done / (double)total;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int filled = (int)(share * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    bool is_guess_good = share > 0 && seconds > 0.5;
    return (size_t)snprintf(text, PROGRESS_TEXT_BYTES, "[%s] %3.0f %%  %s %s  %s/s%s%s%s", bar, share * 100, number, noun, rate,
                            is_guess_good ? "  " : "", is_guess_good ? format_left(left, seconds * (1 - share) / share) : "",
                            is_guess_good ? " left" : "");
}

void progress_draw(struct progress *progress, int64_t done, uint64_t count, int64_t now_us)
{
    if (!progress->is_shown || now_us - progress->drawn_us < DRAW_US)
        return;
    char text[PROGRESS_TEXT_BYTES];
    progress_format(text, progress->noun, done, progress->total, count, now_us - progress->start_us);
    fprintf(stderr, "\r%s\x1b[K", text);
    fflush(stderr);
    progress->drawn_us = now_us;
}

void progress_clear(struct progress *progress)
{
    if (!progress->is_shown || progress->drawn_us == 0)
        return;
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
    progress->drawn_us = 0;
}
