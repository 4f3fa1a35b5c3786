/* import.c - see import.h. Memory is one record, its JSON tree and its event, whatever the size of the files.
 *
 * A resumable import stops every two seconds until all it has sent is acknowledged, and only then writes how far it is: a few
 * milliseconds, and no bookkeeping of which of the lines in flight have arrived. What was sent behind that point is sent again
 * after a crash, with the same ids.
 */
#include "producer/import/import.h"

#include <stdio.h>
#include <string.h>

#include <tallymill/producer.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/service.h"
#include "producer/import/columns.h"
#include "producer/import/csv.h"
#include "producer/import/input.h"
#include "producer/import/line_id.h"
#include "producer/import/nest.h"
#include "producer/import/rejects.h"
#include "producer/import/resume.h"
#include "producer/import/sink.h"
#include "producer/library/event.h"

enum { SAVE_US = 2000000, SEEN_MAX = 1000, NAMES_SEEN_MAX = 50 };

struct import {
    const struct import_plan *plan;
    const struct sink *sink;
    struct rejects *rejects;
    struct reader *reader;
    struct tally_event *event;
    int number;                 /* of the file in hand */
    int64_t done;               /* bytes of the files before it */
    uint64_t line;              /* the last one of the file that was sent or rejected */
    uint64_t objects;           /* of all files so far */
    bool has_begun;             /* the file in hand has given a record */
    uint64_t records;           /* of the file in hand, good and bad */
    bool has_event;             /* one of them was an event */
    bool has_header_told;       /* that its header stands in it once more */
    char nest[NEST_PATH_BYTES]; /* of its first record: the array of objects in it; else "" */
    bool is_barren;             /* it has given no event and no bad line, nor has an earlier run */
    bool has_barren;            /* a file was barren */
    uint64_t sent, turns;       /* since the last save; since the beginning */
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
    import->sink->clear(import->sink->context);
    rejects_add(import->rejects, input_name(input), input_line(input), reason, record, length);
}

/* A line of talk on stderr: what a user should know, and no reason to stop. */
static void tell(const struct import *import, const struct input *input, const char *text)
{
    import->sink->clear(import->sink->context);
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

static void tell_nameless(const struct import *import, const struct input *input, size_t count, size_t first)
{
    char text[128];
    if (count == 1)
        snprintf(text, sizeof text, "column %zu has no name in the header, and is dropped", first);
    else
        snprintf(text, sizeof text, "%zu columns have no name in the header, and are dropped (the first is column %zu)", count,
                 first);
    tell(import, input, text);
}

/* The header was read. False: of a file that could not be looked at before (preview.h), it misses a field that was mapped. */
static bool see_header(struct import *import, const struct input *input, struct error *err)
{
    const struct csv *header = reader_header(import->reader);
    size_t nameless = 0, first = 0;
    for (size_t i = 0; header != NULL && i < csv_columns(header); i++)
        if (csv_name(header, i) != NULL)
            columns_see_field(import->plan->columns, csv_name(header, i));
        else if (nameless++ == 0)
            first = i + 1;
    if (nameless > 0)
        tell_nameless(import, input, nameless, first);
    if (import->number < import->plan->path_count - 1 || columns_check_fields(import->plan->columns, "no CSV header has", err))
        return true;
    csv_advise(header, err);
    if (!columns_is_mapped(import->plan->columns)) { /* each of its lines will be a bad one, and say so */
        tell(import, input, err->text);
        return true;
    }
    return error_wrap(err, "%s", input_name(input));
}

static bool is_done_already(const struct import *import, const struct input *input)
{
    return import->plan->resume != NULL && input_line(input) <= resume_line(import->plan->resume, import->number);
}

/* NDJSON has no header: after so many objects, or at the end, a field that none of them has is reported. */
static void tell_unseen(struct import *import, const struct input *input)
{
    struct error reason;
    char who[64];
    snprintf(who, sizeof who, "none of the first %llu records has", (unsigned long long)import->objects);
    if (import->objects > 0 && !columns_check_fields(import->plan->columns, who, &reason))
        tell(import, input, reason.text);
}

static void see_object(struct import *import, const struct input *input, const struct value *object)
{
    if (import->objects >= SEEN_MAX || import->plan->kind.format == RECORD_CSV)
        return;
    if (import->objects < NAMES_SEEN_MAX)
        columns_see_record(import->plan->columns, object);
    if (++import->objects == SEEN_MAX)
        tell_unseen(import, input);
}

/* Files that were put behind each other, each with its header. */
static void tell_header(struct import *import, const struct input *input)
{
    char text[128];
    if (import->has_header_told)
        return;
    import->has_header_told = true;
    snprintf(text, sizeof text, "line %llu is the header once more, and is no event (each such line)",
             (unsigned long long)input_line(input));
    tell(import, input, text);
}

/* The whole file is one object around the events: perhaps it was not meant to become one event, or one bad line. */
static void tell_nest(struct import *import, const struct input *input)
{
    char text[512];
    if (import->records != 1 || import->nest[0] == '\0' || (import->has_event && !columns_is_mapped(import->plan->columns)))
        return;
    snprintf(text, sizeof text, "it is one object: if each object in its '%s' is an event, say jq -c '%s[]' FILE | %s ...",
             import->nest + 1, import->nest, import->plan->program);
    tell(import, input, text);
}

/* Not one event came of it, whatever each line's reason was. */
static void tell_unread(struct import *import, const struct input *input)
{
    if (import->plan->kind.format != RECORD_NDJSON || import->has_event || import->records < 2 || reader_has_value(import->reader))
        return;
    tell(import, input,
         "no line of it is JSON: say --format csv, combined or msgpack where it is one of these; any other text a program such as "
         "Miller (mlr) or "
         "jq -R makes into NDJSON");
}

/* False: stop. */
static bool send_record(struct import *import, const struct input *input, const char *record, size_t length, struct error *err)
{
    struct value *object;
    bool is_header = reader_is_at_header(import->reader);
    enum reader_answer answer = reader_read(import->reader, record, length, &object, err);
    bool is_bad = answer == READER_BAD, goes_on = answer != READER_FAILED;
    if (answer == READER_NOTHING && is_header && !reader_is_at_header(import->reader))
        goes_on = see_header(import, input, err);
    if (answer == READER_HEADER)
        tell_header(import, input);
    if ((answer == READER_OBJECT || answer == READER_BAD) && import->records++ == 0 &&
        (import->plan->kind.format != RECORD_NDJSON || !nest_find(record, length, import->nest)))
        import->nest[0] = '\0';
    if (answer == READER_FAILED)
        error_wrap(err, "%s, line %llu", input_name(input), (unsigned long long)input_line(input));
    if (answer == READER_OBJECT) {
        is_bad = !columns_fill(import->plan->columns, object, import->event, err);
        import->is_barren = false;
        see_object(import, input, object);
        for (const char *notice; (notice = columns_take_notice(import->plan->columns)) != NULL;)
            tell(import, input, notice);
        if (!is_bad) {
            give_identity(import, input_line(input));
            enum sink_answer sent =
                import->sink->send(import->sink->context, import->event, import->done + input_bytes(input), err);
            import->sent += sent == SINK_SENT;
            is_bad = sent == SINK_INVALID;
            import->has_event = import->has_event || !is_bad;
            goes_on = sent != SINK_FAILED;
        }
    }
    if (is_bad) {
        import->is_barren = false;
        reject(import, input, err->text, record, length);
    }
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
    if (!import->sink->settle(import->sink->context, import->done + input_bytes(input), err) ||
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

/* The first record of a file: what it is, is known now. False: ERROR_USAGE, not what it was when the import began. */
static bool begin_records(struct import *import, const struct input *input, struct error *err)
{
    import->has_begun = true;
    reader_begin(import->reader, input_delimiter(input));
    return import->plan->resume == NULL || resume_check_form(import->plan->resume, import->number, input_form(input), err);
}

/* Nothing came of a file that is not empty: never without a word. */
static void tell_barren(struct import *import, const struct input *input)
{
    const struct csv *header = reader_header(import->reader);
    char text[256];
    import->has_barren = true;
    if (import->plan->kind.format == RECORD_CSV && import->has_begun && header != NULL)
        snprintf(text, sizeof text, "it holds only a header, of %zu name%s, and no record behind it", csv_columns(header),
                 csv_columns(header) == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "it holds no record, only blanks%s",
                 import->plan->kind.format == RECORD_NDJSON ? " or empty arrays" : "");
    tell(import, input, text);
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
        if (!import->has_begun)
            goes_on = begin_records(import, input, err);
        if (!goes_on)
            break;
        import->is_barren = import->is_barren && answer != INPUT_BAD && !is_done_already(import, input);
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
    import->has_begun = import->has_event = import->has_header_told = false;
    import->is_barren = true;
    import->records = 0;
    import->line = 0;
    while (step(import, input, &ok, err))
        ;
    bool is_stopped = service_is_stopping();
    if (ok && !is_stopped && import->objects < SEEN_MAX && import->number == plan->path_count - 1)
        tell_unseen(import, input);
    if (ok && !is_stopped && import->is_barren && input_bytes(input) > 0)
        tell_barren(import, input);
    if (ok && !is_stopped)
        tell_nest(import, input);
    if (ok && !is_stopped)
        tell_unread(import, input);
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

bool import_files(const struct import_plan *plan, const struct sink *sink, struct rejects *rejects, struct error *err)
{
    struct import import = {.plan = plan, .sink = sink, .rejects = rejects, .saved_us = clock_now_us()};
    import.event = tally_event_new();
    import.reader = reader_new(&plan->kind);
    bool ok = import.event != NULL && import.reader != NULL;
    if (!ok)
        error_set(err, ERROR_RETRY, "no memory");
    for (; ok && import.number < plan->path_count; import.number++)
        ok = import_file(&import, err);
    tally_event_free(import.event);
    reader_free(import.reader);
    if (ok && import.has_barren)
        ok = error_set(err, ERROR_REJECT, "a file that is not empty gave no event (see above)");
    return ok;
}
