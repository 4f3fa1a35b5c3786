/* import.c - see import.h. Memory is one line, its JSON tree and its event, whatever the size of the files. */
#include "import.h"

#include <string.h>

#include <jansson.h>
#include <tallymill/producer.h>

#include "columns.h"
#include "error.h"
#include "input.h"
#include "rejects.h"
#include "sender.h"

struct import {
    struct columns *columns;
    struct sender *sender;
    struct rejects *rejects;
    struct tally_event *event;
    int64_t done; /* bytes of the files before this one */
};

long long import_size(char **paths, int count)
{
    long long total = 0;
    for (int i = 0; i < count; i++) {
        int64_t size = input_size(paths[i]);
        if (size < 0)
            return 0;
        total += size;
    }
    return total;
}

static void reject(struct import *import, const struct input *input, const char *reason, const char *line, size_t length)
{
    progress_clear(&import->sender->progress);
    rejects_add(import->rejects, input_name(input), input_line(input), reason, line, length);
}

/* The object of a line, or NULL with the reason. jansson's own text quotes the line, which does not belong into anybody's log. */
static json_t *parse(const char *line, size_t length, struct error *err)
{
    json_error_t where;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
    if (object == NULL) {
        char *quote = strstr(where.text, " near '");
        if (quote != NULL)
            *quote = '\0';
        if (json_error_code(&where) == json_error_null_character || json_error_code(&where) == json_error_null_byte_in_key)
            error_set(err, ERROR_REJECT, "a text holds a NUL, which Postgres does not take (byte %d)", where.position);
        else
            error_set(err, ERROR_REJECT, "no JSON: %s (byte %d)", where.text, where.position);
    } else if (!json_is_object(object)) {
        error_set(err, ERROR_REJECT, "the line is no JSON object");
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* False: stop. */
static bool send_line(struct import *import, const struct input *input, const char *line, size_t length, struct error *err)
{
    if (line[strspn(line, " \t\r")] == '\0' && strlen(line) == length)
        return true; /* nothing in it */
    enum sender_answer answer = SENDER_INVALID;
    json_t *object = parse(line, length, err);
    if (object != NULL && columns_fill(import->columns, object, import->event, err))
        answer = sender_send(import->sender, import->event, import->done + input_bytes(input), err);
    json_decref(object);
    if (answer == SENDER_INVALID)
        reject(import, input, err->text, line, length);
    return answer != SENDER_FAILED;
}

static bool import_file(struct import *import, const char *path, struct error *err)
{
    struct input *input = input_open(path, err);
    if (input == NULL)
        return false;
    bool goes_on = true, ok = false;
    while (goes_on) {
        const char *line;
        size_t length;
        switch (input_next(input, &line, &length, err)) {
        case INPUT_LINE: goes_on = send_line(import, input, line, length, err); break;
        case INPUT_LONG: reject(import, input, "the line is longer than 4 MiB", NULL, 0); break;
        case INPUT_STOPPED:
            error_set(err, ERROR_RETRY, "stopped by a signal");
            goes_on = false;
            break;
        case INPUT_END: ok = true; /* fall through */
        case INPUT_FAILED: goes_on = false; break;
        }
    }
    import->done += input_bytes(input);
    input_close(input);
    return ok;
}

bool import_files(char **paths, int count, struct columns *columns, struct sender *sender, struct rejects *rejects,
                  struct error *err)
{
    struct import import = {.columns = columns, .sender = sender, .rejects = rejects, .event = tally_event_new()};
    if (import.event == NULL)
        return error_set(err, ERROR_RETRY, "no memory");
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = import_file(&import, paths[i], err);
    tally_event_free(import.event);
    return ok;
}
