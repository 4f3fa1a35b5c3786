/* input.c - see input.h.
 *
 * Invariant: text[begin, end) was read and not yet given out; `searched` of it went through `record`. A record is either whole
 * in the buffer or being passed over.
 */
#include "producer/import/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "producer/import/form.h"
#include "producer/import/nest.h"
#include "producer/import/next_object.h"
#include "producer/import/textfile.h"

enum {
    FIRST_TEXT_BYTES = 128 * 1024,
    UNCLOSED_MAX = 100, /* each costs a look through a whole buffer */
};

struct input {
    struct textfile *file;
    bool is_ended;
    bool is_mark_read; /* the byte order mark, or that there is none */
    char delimiter;    /* as asked for */
    struct form form;
    bool has_form;

    char *text;
    size_t capacity, begin, end;
    size_t searched;
    struct record record;
    bool is_passing_over; /* a record that was too long */
    uint64_t line, next_line;
    unsigned unclosed;
    char nest[NEST_PATH_BYTES]; /* of the first record, where it is too long: the array of objects in it; else "" */
};

int64_t input_size(const char *path)
{
    struct stat status;
    bool is_stdin = strcmp(path, "-") == 0;
    if ((is_stdin ? fstat(STDIN_FILENO, &status) : stat(path, &status)) != 0 || !S_ISREG(status.st_mode))
        return -1;
    return status.st_size;
}

struct input *input_open(const char *path, const struct input_kind *kind, struct error *err)
{
    struct input *input = calloc(1, sizeof *input);
    char *text = malloc(FIRST_TEXT_BYTES);
    if (input == NULL || text == NULL) {
        free(input);
        free(text);
        error_set(err, ERROR_RETRY, "no memory to read %s", path);
        return NULL;
    }
    input->text = text;
    input->capacity = FIRST_TEXT_BYTES;
    input->delimiter = kind->delimiter;
    input->record = (struct record){.format = kind->format, .delimiter = ',', .line_end = '\n'};
    record_begin(&input->record);
    input->next_line = 1;
    input->file = textfile_open(path, kind->is_followed, kind->format == RECORD_MSGPACK, err);
    if (input->file != NULL)
        return input;
    input_close(input);
    return NULL;
}

void input_close(struct input *input)
{
    if (input == NULL)
        return;
    textfile_close(input->file);
    free(input->text);
    free(input);
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

/* More text behind `end`, or is_ended, or not yet. INPUT_RECORD: go on. */
static enum input_answer fill(struct input *input, struct error *err)
{
    size_t got;
    enum textfile_answer answer = textfile_read(input->file, input->text + input->end, input->capacity - input->end - 1, &got, err);
    input->end += got;
    switch (answer) {
    case TEXTFILE_IDLE: return INPUT_IDLE;
    case TEXTFILE_STOPPED: return INPUT_STOPPED;
    case TEXTFILE_FAILED:
        if (input->next_line > 1)
            error_wrap(err, "%s, behind line %llu", input_name(input), (unsigned long long)input->next_line - 1);
        else
            error_wrap(err, "%s", input_name(input));
        return INPUT_FAILED;
    case TEXTFILE_END: input->is_ended = true; break;
    case TEXTFILE_BYTES: break;
    }
    return INPUT_RECORD;
}

/* text[begin, begin + used) was a record: the next one begins behind it. */
static void pass(struct input *input, size_t used)
{
    bool is_numbered = input->record.is_stream || input->record.newlines == 0;
    input->line = input->next_line;
    input->next_line += is_numbered ? 1 : input->record.newlines;
    input->begin += used;
    input->searched = 0;
    input->is_passing_over = false;
    record_begin(&input->record);
}

/* One object around all events: how they come out of it. */
static void add_nest(struct input *input, struct error *err)
{
    const size_t used = strlen(err->text);
    if (input->nest[0] != '\0' && input->line == 1)
        snprintf(err->text + used, sizeof err->text - used,
                 ": if each object in its '%s' is an event, say jq -c '%s[]' FILE | tallymill-produce ...", input->nest + 1,
                 input->nest);
    input->nest[0] = '\0';
}

static enum input_answer give(struct input *input, const char **record, size_t *length, struct error *err)
{
    char *text = input->text + input->begin;
    size_t used = input->searched;
    bool is_line = input->record.format != RECORD_MSGPACK && !input->record.is_stream, is_too_long = input->is_passing_over;
    bool is_unclosed = input->record.is_unclosed;
    pass(input, used);
    if (is_line && used > 0 && text[used - 1] == '\n')
        used--;
    while (is_line && used > 0 && text[used - 1] == '\r')
        used--;
    if (is_too_long || used > INPUT_RECORD_BYTES) {
        error_set(err, ERROR_REJECT, "the %s is longer than 4 MiB",
                  is_line && input->record.format != RECORD_CSV ? "line" : "record");
        add_nest(input, err);
        return INPUT_BAD;
    }
    size_t between = input->record.is_stream ? record_skip_between(text, used) : 0;
    *record = text + between;
    *length = used - between;
    if (is_unclosed)
        error_set(err, ERROR_REJECT, "an object is opened and never closed");
    return is_unclosed ? INPUT_BAD : INPUT_RECORD;
}

/* Nothing that is wrong so often is what it was taken for. */
static enum input_answer count_unclosed(struct input *input, const char *what, struct error *err)
{
    error_set(err, ERROR_REJECT, "%s is opened and never closed", what);
    if (++input->unclosed < UNCLOSED_MAX)
        return INPUT_BAD;
    error_set(err, ERROR_REJECT, "%s: %u times %s is opened and never closed, at last in %llu: this is another kind of file",
              input_name(input), input->unclosed, what, (unsigned long long)input->line);
    return INPUT_FAILED;
}

/* A quote that is never closed would swallow all good lines behind it: only the line in which it stands is given up. */
static enum input_answer give_up_quote(struct input *input, const char **record, size_t *length, struct error *err)
{
    char *text = input->text + input->begin;
    size_t left = input->end - input->begin;
    const char *end = memchr(text, input->record.line_end, left);
    *record = text;
    *length = end == NULL ? left : (size_t)(end - text);
    input->record.newlines = end != NULL;
    pass(input, end == NULL ? left : *length + 1);
    return count_unclosed(input, "a quote", err);
}

/* The same of an object in a stream. */
static enum input_answer give_up_object(struct input *input, const char **record, size_t *length, struct error *err)
{
    char *text = input->text + input->begin;
    size_t left = input->end - input->begin, between = record_skip_between(text, left);
    text[left] = '\0'; /* there is room for it; strspn() ends there */
    const char *next = next_object(text, left);
    if (next == NULL && !input->is_ended)
        return INPUT_IDLE;
    size_t used = next == NULL ? left : (size_t)(next - text);
    *record = text + between;
    *length = used - between;
    pass(input, used);
    if (*length > INPUT_RECORD_BYTES)
        *record = NULL;
    enum input_answer answer = count_unclosed(input, "an object", err);
    if (answer == INPUT_BAD)
        add_nest(input, err);
    return answer;
}

/* The end of a file that nothing is left of. */
static enum input_answer end_file(struct input *input, struct error *err)
{
    if (input->record.arrays > 0) {
        input->record.arrays = 0;
        pass(input, input->end - input->begin);
        error_set(err, ERROR_REJECT,
                  input->record.format == RECORD_MSGPACK ? "the array around the maps says that there are more: was the file cut?"
                                                         : "the array around the objects is never closed: was the file cut?");
        return INPUT_BAD;
    }
    if (!textfile_is_replaced(input->file))
        return INPUT_END;
    error_set(err, ERROR_RETRY, "%s was read to its end, and another file has taken its place: start again to follow that",
              input_name(input));
    return INPUT_FAILED;
}

/* What is left at the end of the file is a last record without its end. */
static enum input_answer give_last(struct input *input, const char **record, size_t *length, struct error *err)
{
    size_t left = input->end - input->begin;
    if (input->record.is_stream && record_skip_between(input->text + input->begin, left) == left)
        left = 0;
    if (left == 0 && !input->is_passing_over)
        return end_file(input, err);
    if (record_is_quoted(&input->record) && !input->is_passing_over)
        return give_up_quote(input, record, length, err);
    if (record_is_open(&input->record) && !input->is_passing_over)
        return give_up_object(input, record, length, err);
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

/* What kind of file it is. False: not known yet, or (INPUT_FAILED) none that is read. */
static bool find_form(struct input *input, enum input_answer *answer, struct error *err)
{
    *answer = INPUT_RECORD;
    if (!input->is_mark_read && !pass_mark(input))
        return false;
    switch (form_look(input->record.format, input->delimiter, input->text + input->begin, input->end - input->begin,
                      input->is_ended, &input->form, err)) {
    case FORM_MORE: return false;
    case FORM_FOREIGN:
        error_wrap(err, "%s", input_name(input));
        *answer = INPUT_FAILED;
        return false;
    case FORM_KNOWN: break;
    }
    input->has_form = true;
    input->record.line_end = input->form.line_end;
    input->record.delimiter = input->form.delimiter;
    input->record.is_stream = input->form.is_stream;
    input->begin += input->form.skip;
    input->next_line += input->form.skip > 0;
    return true;
}

/* Looks through what is new. *answer is set when true. */
static bool find_record(struct input *input, enum input_answer *answer, const char **record, size_t *length, struct error *err)
{
    if (!input->has_form && !find_form(input, answer, err))
        return *answer == INPUT_FAILED;
    size_t left = input->end - input->begin;
    bool is_whole = false;
    if (left > input->searched)
        input->searched +=
            record_scan(&input->record, input->text + input->begin + input->searched, left - input->searched, &is_whole);
    bool is_over = input->searched > INPUT_RECORD_BYTES && !input->is_passing_over;
    if (is_whole) {
        *answer = give(input, record, length, err);
        return true;
    }
    if (input->record.is_broken) {
        error_set(err, ERROR_REJECT, "%s: record %llu is no msgpack (byte c1), and where the next begins cannot be known",
                  input_name(input), (unsigned long long)input->next_line);
        *answer = INPUT_FAILED;
        return true;
    }
    if (input->is_ended) {
        *answer = give_last(input, record, length, err);
        return true;
    }
    if (is_over && input->record.format == RECORD_NDJSON && input->next_line == 1 &&
        !nest_find(input->text + input->begin, left, input->nest))
        input->nest[0] = '\0';
    if (is_over && record_is_quoted(&input->record)) {
        *answer = give_up_quote(input, record, length, err);
        return true;
    }
    if (is_over && record_is_open(&input->record) && (*answer = give_up_object(input, record, length, err)) != INPUT_IDLE)
        return true;
    if (input->searched > INPUT_RECORD_BYTES + 1) { /* drop what is there and go on to the record's end */
        input->is_passing_over = true;
        input->begin += input->searched;
        input->searched = 0;
    }
    return false;
}

enum input_answer input_next(struct input *input, const char **record, size_t *length, struct error *err)
{
    enum input_answer answer;
    *record = NULL;
    *length = 0;
    while (!find_record(input, &answer, record, length, err)) {
        if (!make_room(input)) {
            error_set(err, ERROR_RETRY, "%s: no memory for line %llu", input_name(input), (unsigned long long)input->next_line);
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
    return textfile_name(input->file);
}

uint64_t input_line(const struct input *input)
{
    return input->line;
}

int64_t input_bytes(const struct input *input)
{
    return textfile_bytes(input->file);
}

char input_delimiter(const struct input *input)
{
    return input->form.delimiter;
}

const char *input_form(const struct input *input)
{
    return input->has_form ? form_name(&input->form, input->record.format) : NULL;
}

bool input_likeness(const struct input *input, enum record_format *format, char *delimiter)
{
    if (!input->form.likeness.is_read)
        return false;
    *format = input->form.likeness.format;
    *delimiter = input->form.likeness.other_delimiter;
    return true;
}
