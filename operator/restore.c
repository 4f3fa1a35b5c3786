/* restore.c - `tallymill restore`: a month comes back from its archive (archive_return), and what waited for it with --replay. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/cli.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/number_text.h"
#include "common/postgres.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_return.h"
#include "operator/archive_store.h"
#include "operator/command.h"
#include "operator/dlq.h"
#include "operator/ground.h"

#define SHORT_US (60 * CLOCK_SECOND_US)

struct restore {
    bool should_replay, is_newer, as_json; /* the options */
    const struct settings *settings;
    struct archive_books books;
    struct archive_view view;
    struct archive_return back;
    bool was_there;
    int64_t waiting, emptied;
    struct dlq_replay replayed;
};

/* What the books name; with --newer, where that is gone, what came after it. */
static bool find(struct restore *restore, const struct month_name *month, struct error *err)
{
    if (archive_return_find(&restore->back, restore->settings, month, &restore->view, err))
        return true;
    if (!restore->is_newer || err->kind != ERROR_REJECT)
        return false;
    error_clear(err);
    archive_return_close(&restore->back);
    return archive_return_find_newer(&restore->back, restore->settings, month, &restore->view, err);
}

static bool restore_month(struct restore *restore, const struct month_name *month, struct error *err)
{
    const struct archive_view *view = &restore->view;
    if (!archive_books_look(&restore->books, month, &restore->view, err))
        return false;
    restore->was_there = strcmp(view->state, "open") == 0 || strcmp(view->state, "restored") == 0;
    if (restore->was_there)
        return true;
    if (!view->is_known || strcmp(view->state, "archived") != 0)
        return error_set(err, ERROR_USAGE,
                         view->is_known ? "%s is %s: tallymill archive --cancel %s lets it stay" : "%s: there is no such month",
                         month->text, view->state, month->text);
    if (view->generation == 0 || strcmp(view->archive_state, "dropped") != 0 || strcmp(view->target, "none") == 0)
        return error_set(err, ERROR_USAGE, "%s: nothing of it was kept, or its archive is not in the books (tallymill.archives)",
                         month->text);
    return find(restore, month, err) && archive_return_month(&restore->back, &restore->books, month, NULL, NULL, err);
}

static bool replay(struct restore *restore, const struct month_name *month, struct error *err)
{
    const char *topic = settings_text(restore->settings, "topics.events");
    const struct dlq_choice choice = {.topic = topic, .target = topic, .reason = "archived_month", .month = month->text};
    return postgres_exec(restore->books.conn, "SET idle_session_timeout = 0", SHORT_US, err) &&
           dlq_replay(restore->books.conn, restore->settings, &choice, &restore->replayed, err);
}

static void print_late(const struct restore *restore, const struct month_name *month)
{
    char number[NUMBER_TEXT_BYTES];
    if (restore->should_replay)
        printf("; %s dead letters were sent again", number_text(number, restore->replayed.sent));
    else if (restore->waiting > 0)
        printf("; %s dead letters wait for it: tallymill restore %s --replay", number_text(number, restore->waiting), month->text);
    if (restore->emptied > 0)
        printf("; of %s the bytes are gone, they cannot come back", number_text(number, restore->emptied));
    putchar('\n');
}

static void print(const struct restore *restore, const struct month_name *month)
{
    char rows[NUMBER_TEXT_BYTES];
    if (restore->was_there)
        printf("%s is there (%s)", month->text, restore->view.state);
    else
        printf("%s restored: %s rows of generation %d, in %.1f s", month->text, number_text(rows, restore->back.manifest.rows),
               restore->back.manifest.generation, (double)restore->back.took_us / (double)CLOCK_SECOND_US);
    print_late(restore, month);
}

static void print_json(const struct restore *restore, const struct month_name *month)
{
    json_t *answer = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "month", month->text, "outcome",
                               restore->was_there ? "was there" : "restored", "generation",
                               restore->was_there ? restore->view.generation : restore->back.manifest.generation, "rows",
                               (json_int_t)restore->back.manifest.rows, "took_us", (json_int_t)restore->back.took_us,
                               "dead_letters_waiting", (json_int_t)restore->waiting, "dead_letters_emptied",
                               (json_int_t)restore->emptied, "replayed", (json_int_t)restore->replayed.sent);
    answer_print(answer);
    json_decref(answer);
}

static bool run(struct restore *restore, const struct month_name *month, struct error *err)
{
    return archive_books_open(&restore->books, restore->settings, "tallymill restore", err) && restore_month(restore, month, err) &&
           archive_books_waiting(&restore->books, month, &restore->waiting, &restore->emptied, err) &&
           (!restore->should_replay || replay(restore, month, err));
}

static int work(void *context, const struct cli_result *command, struct error *err)
{
    struct restore *restore = context;
    struct month_name month;
    restore->settings = command->settings;
    if (command->check)
        return ground_check_also(command,
                                 &(struct ground){"tallymill restore", "tallymill_admin",
                                                  restore->should_replay ? settings_text(command->settings, "topics.events") : NULL,
                                                  RD_KAFKA_ACL_OPERATION_WRITE},
                                 archive_books_check);
    if (command->argument_count != 1)
        error_set(err, ERROR_USAGE, "which month? tallymill restore 2025-01");
    else if (month_name_parse(command->arguments[0], &month, err) && run(restore, &month, err) && restore->as_json)
        print_json(restore, &month);
    else if (err->kind == ERROR_NONE)
        print(restore, &month);
    archive_return_close(&restore->back);
    archive_books_close(&restore->books);
    return 0;
}

int restore_run(int argc, char **argv)
{
    struct restore restore = {0};
    const struct cli_option options[] = {
        {.name = "replay", .help = "then send the dead letters again that waited for the month", .flag = &restore.should_replay},
        {.name = "newer",
         .help = "where the archive that the books name is gone: the newest that came after it (after a restored backup)",
         .flag = &restore.is_newer},
        {.name = "json", .help = "answer with one JSON object", .flag = &restore.as_json},
        {.name = NULL},
    };
    const struct cli cli = {
        .program = "tallymill restore",
        .usage = "[OPTION ...] MONTH",
        .summary = "Brings an archived month back into analytics_events, in one transaction: killed anywhere, it was not. Its "
                   "archive stays, and the\n"
                   "month is not due again for archive.restored_keep. Needs a login with tallymill_admin.\n",
        .examples =
            "  tallymill restore --config settings.ini 2025-01\n  tallymill restore --config settings.ini 2025-01 --replay\n",
        .exit_codes = "0 it is there; 1 its archive is damaged, or a server is away: nothing was changed; 2 usage, settings or "
                      "schema;\n3 needs a person.",
        .options = options,
        .programs = FOR_OPERATOR,
    };
    return command_work(&cli, argc, argv, work, &restore);
}
