/* preview.c - see preview.h. What goes wrong here in other ways is left to the import, which tells it with its line. */
#include "producer/import/preview.h"

#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "producer/import/columns.h"
#include "producer/import/csv.h"
#include "producer/import/import.h"
#include "producer/import/input.h"
#include "producer/import/reader.h"

/* The first record, and of CSV the header, wherever it stands. False: ERROR_USAGE, nothing of the file can be read. */
static bool see_beginning(const struct import_plan *plan, struct input *input, struct reader *reader, struct error *err)
{
    const char *record;
    size_t length;
    struct value *object;
    struct error reason;
    reader_begin(reader, plan->kind.delimiter);
    for (bool is_first = true; is_first || reader_is_at_header(reader); is_first = false) {
        enum input_answer answer = input_next(input, &record, &length, &reason);
        if (answer == INPUT_FAILED && reason.kind == ERROR_USAGE) {
            *err = reason;
            return false;
        }
        if (answer != INPUT_RECORD)
            return true;
        if (is_first)
            reader_begin(reader, input_delimiter(input));
        if (reader_read(reader, record, length, &object, &reason) == READER_FAILED)
            return true;
    }
    const struct csv *header = reader_header(reader);
    for (size_t i = 0; header != NULL && i < csv_columns(header); i++)
        if (csv_name(header, i) != NULL)
            columns_see_field(plan->columns, csv_name(header, i));
    return true;
}

static bool look_at(const struct import_plan *plan, const char *path, struct reader *reader, struct error *err)
{
    struct input_kind kind = {.format = plan->kind.format, .delimiter = plan->kind.delimiter};
    struct input *input = input_open(path, &kind, err);
    bool ok = input != NULL && see_beginning(plan, input, reader, err);
    input_close(input);
    return ok;
}

/* A pipe by its name: opened once only, or whoever writes into it would find nobody. */
static bool is_pipe(const char *path)
{
    struct stat status;
    return strcmp(path, "-") == 0 || (stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode));
}

bool preview_files(const struct import_plan *plan, struct error *err)
{
    struct reader *reader = reader_new(&plan->kind);
    bool ok = reader != NULL || error_set(err, ERROR_RETRY, "no memory"), has_all = plan->kind.format == RECORD_CSV;
    for (int i = 0; ok && i < plan->path_count; i++) {
        bool is_seen = !is_pipe(plan->paths[i]);
        ok = !is_seen || look_at(plan, plan->paths[i], reader, err);
        has_all = has_all && is_seen && reader_header(reader) != NULL;
    }
    if (ok && has_all && columns_is_mapped(plan->columns) && !columns_check_fields(plan->columns, "no CSV header has", err)) {
        csv_advise(reader_header(reader), err);
        ok = plan->path_count == 1 && error_wrap(err, "%s", plan->paths[0]);
    }
    reader_free(reader);
    return ok;
}
