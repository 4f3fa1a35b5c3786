/* import.c - see import.h. Memory is one record, its JSON tree and its event, whatever the size of the files.
 *
 * A resumable import stops every two seconds until all it has sent is acknowledged, and only then writes how far it is: a few
 * milliseconds, and no bookkeeping of which of the lines in flight have arrived. What was sent behind that point is sent again
 * after a crash, with the same ids.
 */
#include "import.h"

#include <stdio.h>
#include <string.h>

#include <tallymill/producer.h>

#include "clock.h"
#include "columns.h"
#include "csv.h"
#include "error.h"
#include "event.h"
#include "input.h"
#include "line_id.h"
#include "outlet.h"
#include "rejects.h"
#include "resume.h"
#include "service.h"

enum { SAVE_US = 2000000 };

struct import {
    const struct import_plan *plan;
    const struct outlet *outlet;
    struct rejects *rejects;
    struct reader *reader;
    struct tally_event *event;
    int number;           /* of the file in hand */
    int64_t done;         /* bytes of the files before it */
    uint64_t line;        /* the last one of the file that was sent or rejected */
    uint64_t sent, turns; /* since the last save; since the beginning */
    int64_t saved_us;
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

static void reject(struct import *import, const struct input *input, const char *reason, const char *record, size_t length)
{
    import->outlet->clear(import->outlet->context);
    rejects_add(import->rejects, input_name(input), input_line(input), reason, record, length);
}

/* A line of talk on stderr: what a user should know, and no reason to stop. */
static void tell(const struct import *import, const struct input *input, const char *text)
{
    import->outlet->clear(import->outlet->context);
    fprintf(stderr, "%s: %s: %s\n", import->plan->program, input_name(input), text);
}

/* What makes a line that is sent twice the same event. */
static void give_identity(const struct import *import, uint64_t line)
{
    const struct resume *resume = import->plan->resume;
    if (resume == NULL)
        return;
    if (!import->event->has_id) {
        uint8_t id[LINE_ID_BYTES];
        line_id(id, resume_file_id(resume, import->number), line);
        tally_event_set_id(import->event, id);
    }
    if (!import->event->has_created)
        tally_event_created(import->event, resume_begun_us(resume));
}

/* The header was read: columns without a name. */
static void tell_header(const struct import *import, const struct input *input)
{
    const struct csv *header = reader_header(import->reader);
    size_t nameless = 0, first = 0;
    for (size_t i = 0; header != NULL && i < csv_columns(header); i++)
        if (csv_name(header, i) == NULL && nameless++ == 0)
            first = i + 1;
    char text[128];
    if (nameless == 0)
        return;
    if (nameless == 1)
        snprintf(text, sizeof text, "column %zu has no name in the header, and is dropped", first);
    else
        snprintf(text, sizeof text, "%zu columns have no name in the header, and are dropped (the first is column %zu)", nameless, first);
    tell(import, input, text);
}

static bool is_done_already(const struct import *import, const struct input *input)
{
    return import->plan->resume != NULL && input_line(input) <= resume_line(import->plan->resume, import->number);
}

/* False: stop. */
static bool send_record(struct import *import, const struct input *input, const char *record, size_t length, struct error *err)
{
    struct value *object;
    bool is_header = reader_is_at_header(import->reader);
    enum reader_answer answer = reader_read(import->reader, record, length, &object, err);
    bool is_bad = answer == READER_BAD, goes_on = answer != READER_FAILED;
    if (answer == READER_NOTHING && is_header)
        tell_header(import, input);
    if (answer == READER_FAILED)
        error_wrap(err, "%s, line %llu", input_name(input), (unsigned long long)input_line(input));
    if (answer == READER_OBJECT) {
        is_bad = !columns_fill(import->plan->columns, object, import->event, err);
        for (const char *notice; (notice = columns_take_notice(import->plan->columns)) != NULL;)
            tell(import, input, notice);
        if (!is_bad) {
            give_identity(import, input_line(input));
            enum outlet_answer sent =
                import->outlet->send(import->outlet->context, import->event, import->done + input_bytes(input), err);
            import->sent += sent == OUTLET_SENT;
            is_bad = sent == OUTLET_INVALID;
            goes_on = sent != OUTLET_FAILED;
        }
    }
    if (is_bad)
        reject(import, input, err->text, record, length);
    return goes_on;
}

/* Everything up to the last record is done with: waits until that is so, and writes it. False: *err. */
static bool save(struct import *import, const struct input *input, struct error *err)
{
    struct resume *resume = import->plan->resume;
    if (resume == NULL || import->line <= resume_line(resume, import->number))
        return true;
    const struct resume_totals *before = resume_totals(resume);
    int64_t reject_bytes;
    if (!import->outlet->settle(import->outlet->context, import->done + input_bytes(input), err) ||
        !rejects_flush(import->rejects, &reject_bytes, err))
        return false;
    struct resume_totals totals = {
        .sent = before->sent + import->sent, .rejected = rejects_count(import->rejects), .reject_bytes = reject_bytes};
    if (!resume_save(resume, import->number, import->line, &totals, err))
        return false;
    import->sent = 0;
    import->saved_us = clock_now_us();
    return true;
}

static bool save_now_and_then(struct import *import, const struct input *input, bool is_idle, struct error *err)
{
    if (import->plan->resume == NULL || (!is_idle && ++import->turns % 256 != 0) || clock_now_us() - import->saved_us < SAVE_US)
        return true;
    return save(import, input, err);
}

/* One turn. False: stop; *ok tells whether that is the end. */
static bool step(struct import *import, struct input *input, bool *ok, struct error *err)
{
    const char *record;
    size_t length;
    bool goes_on = true;
    enum input_answer answer = input_next(input, &record, &length, err);
    switch (answer) {
    case INPUT_RECORD:
    case INPUT_BAD:
        if (is_done_already(import, input) && (answer == INPUT_BAD || !reader_is_at_header(import->reader)))
            break;
        if (answer == INPUT_BAD)
            reject(import, input, err->text, record, length);
        else
            goes_on = send_record(import, input, record, length, err);
        if (goes_on)
            import->line = input_line(input);
        goes_on = goes_on && save_now_and_then(import, input, false, err);
        break;
    case INPUT_IDLE: goes_on = save_now_and_then(import, input, true, err); break;
    case INPUT_STOPPED:
        error_set(err, ERROR_RETRY, "stopped by a signal");
        goes_on = false;
        break;
    case INPUT_END: *ok = true; /* fall through */
    case INPUT_FAILED: goes_on = false; break;
    }
    return goes_on;
}

static bool import_file(struct import *import, struct error *err)
{
    const struct import_plan *plan = import->plan;
    bool is_followed = plan->is_followed && import->number == plan->path_count - 1;
    struct input_kind kind = {.format = plan->kind.format, .delimiter = plan->kind.delimiter, .is_followed = is_followed};
    struct input *input = input_open(plan->paths[import->number], &kind, err);
    if (input == NULL)
        return false;
    bool ok = false;
    reader_begin(import->reader);
    import->line = 0;
    while (step(import, input, &ok, err))
        ;
    bool is_stopped = service_is_stopping();
    if (is_followed && is_stopped)
        ok = true; /* the only end that a followed file has */
    struct error reason;
    if ((ok || is_stopped) && !save(import, input, &reason) && ok) {
        *err = reason;
        ok = false;
    }
    import->done += input_bytes(input);
    input_close(input);
    return ok;
}

bool import_files(const struct import_plan *plan, const struct outlet *outlet, struct rejects *rejects, struct error *err)
{
    struct import import = {.plan = plan, .outlet = outlet, .rejects = rejects, .saved_us = clock_now_us()};
    import.event = tally_event_new();
    import.reader = reader_new(&plan->kind);
    bool ok = import.event != NULL && import.reader != NULL;
    if (!ok)
        error_set(err, ERROR_RETRY, "no memory");
    for (; ok && import.number < plan->path_count; import.number++)
        ok = import_file(&import, err);
    tally_event_free(import.event);
    reader_free(import.reader);
    return ok;
}
