/* top.c - `tallymill top`: a live view for a person who watches. Without a terminal it is one plain picture, over one second. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/settings.h"
#include "operator/command.h"
#include "operator/ground.h"
#include "operator/screen.h"
#include "operator/top_frame.h"
#include "operator/top_look.h"

enum { LOOK_MS = 1000 };

/* Two looks, since a rate needs both. A Postgres that is away is shown, and told. */
static void show_once(struct top *top, struct error *err)
{
    for (int look = 0; look < 2 && err->kind == ERROR_NONE; look++) {
        poll(NULL, 0, look > 0 ? LOOK_MS : 0);
        if (!top_look(top, clock_now_us(), err)) {
            return;
        }
    }
    top_frame_print(top, &(struct top_frame){.wall_us = clock_wall_us(), .now_us = clock_now_us()}, stdout);
}

/* False: the terminal is gone. */
static bool draw(const struct top *top, bool is_paused)
{
    char *text = NULL;
    size_t length = 0;
    struct top_frame frame = {.wall_us = clock_wall_us(), .now_us = clock_now_us(), .is_paused = is_paused, .is_live = true};
    int columns;
    screen_size(&frame.rows, &columns);
    FILE *out = open_memstream(&text, &length);
    if (!out) {
        return false;
    }
    top_frame_print(top, &frame, out);
    const bool is_drawn = fclose(out) == 0 && screen_draw(text, frame.rows, columns);
    free(text);
    return is_drawn;
}

/* Until q, a signal, or an error that no waiting mends. While it is paused nothing is asked. */
static void show(struct top *top, struct error *err)
{
    bool is_paused = false;
    int64_t look_at_us = clock_now_us();
    for (;;) { /* ends: as said above */
        const int64_t now_us = clock_now_us();
        if (!is_paused && now_us >= look_at_us) {
            error_clear(err);
            if (!top_look(top, now_us, err)) {
                return;
            }
            error_clear(err); /* a server that is away is shown */
            look_at_us = now_us + LOOK_MS * 1000;
        }
        if (!draw(top, is_paused)) {
            return;
        }
        const int64_t left_us = look_at_us - clock_now_us();
        const int key = screen_key(is_paused ? 60000 : left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (key == SCREEN_END || key == 'q') {
            return;
        }
        if (key == 'p') {
            is_paused = !is_paused;
        }
    }
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct top *top = context;
    int exit_code = 0;
    top->settings = command->settings;
    if (command->argument_count > 0) {
        error_set(err, ERROR_USAGE, "%s: top takes no arguments", command->arguments[0]);
    } else if (command->check) {
        exit_code = ground_check(command->settings,
                                 &(struct ground){"tallymill top", "tallymill_read",
                                                  settings_text(command->settings, "topics.events"), RD_KAFKA_ACL_OPERATION_READ});
    } else if (screen_is_possible()) {
        screen_open();
        show(top, err);
        screen_close();
    } else {
        show_once(top, err);
    }
    top_free(top);
    return exit_code;
}

static const struct cli top_cli = {
    .program = "tallymill top",
    .usage = "[OPTION ...]",
    .summary = "A live view: whether the ledger adds up (asked each minute), events stored a second, lag, what each\n"
               "topic partition waits for, how old the statistics are, dead letters by reason. Looks once a second;\n"
               "p pauses, q ends. Where stdout is no terminal: one picture, over one second.\n"
               "Needs a login with tallymill_read, and in Kafka the right to read the topic.\n",
    .examples = "  tallymill top --config settings.ini\n  tallymill top --config settings.ini | head -7\n",
    .programs = FOR_OPERATOR,
};

int top_run(int argc, char **argv)
{
    struct top top = {0};
    return command_work(&top_cli, argc, argv, work, &top);
}
