/* finding.c - see finding.h. */
#include "operator/finding.h"

#include <inttypes.h>
#include <stddef.h>

#include "operator/answer.h"
#include "operator/terminal.h"

struct finding finding_make(const char *kind, const char *damage)
{
    return (struct finding){
        .kind = kind, .topic_partition = -1, .first_offset = -1, .next_offset = -1, .batch_id = -1, .damage = damage};
}

static int64_t number_or_none(const PGresult *result, int row, const char *column)
{
    return answer_is_null(result, row, column) ? -1 : answer_int(result, row, column);
}

static const char *text_or_none(const PGresult *result, int row, const char *column)
{
    return answer_is_null(result, row, column) ? NULL : answer_text(result, row, column);
}

struct finding finding_of_row(const PGresult *result, int row)
{
    return (struct finding){
        .kind = answer_text(result, row, "kind"),
        .topic = text_or_none(result, row, "topic"),
        .topic_partition = number_or_none(result, row, "topic_partition"),
        .first_offset = number_or_none(result, row, "first_offset"),
        .next_offset = number_or_none(result, row, "next_offset"),
        .batch_id = number_or_none(result, row, "batch_id"),
        .day = text_or_none(result, row, "day"),
        .damage = answer_text(result, row, "damage"),
    };
}

/* A comma before every place but the first. */
static const char *next_separator(const char **separator)
{
    const char *now = *separator;
    *separator = ", ";
    return now;
}

void finding_print(const struct finding *finding, FILE *out)
{
    const char *separator = "";
    if (finding->topic) {
        fputs(next_separator(&separator), out);
        fputs("topic ", out);
        terminal_text(out, finding->topic);
    }
    if (finding->topic_partition >= 0) {
        fprintf(out, "%stopic partition %" PRId64, next_separator(&separator), finding->topic_partition);
    }
    if (finding->first_offset >= 0 && finding->next_offset > finding->first_offset + 1) {
        fprintf(out, "%soffsets %" PRId64 " to %" PRId64, next_separator(&separator), finding->first_offset,
                finding->next_offset - 1);
    } else if (finding->first_offset >= 0) {
        fprintf(out, "%soffset %" PRId64, next_separator(&separator), finding->first_offset);
    }
    if (finding->batch_id >= 0) {
        fprintf(out, "%sbatch %" PRId64, next_separator(&separator), finding->batch_id);
    }
    if (finding->day) {
        fprintf(out, "%sday %s", next_separator(&separator), finding->day);
    }
    fputs(separator[0] ? ": " : "", out);
    terminal_text(out, finding->damage);
    fputc('\n', out);
}

json_t *finding_json(const struct finding *finding)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"topic_partition", finding->topic_partition},
        {"first_offset", finding->first_offset},
        {"next_offset", finding->next_offset},
        {"batch_id", finding->batch_id},
    };
    json_t *json = json_pack("{s:s, s:s*, s:s*, s:s}", "kind", finding->kind, "topic", finding->topic, "day", finding->day,
                             "damage", finding->damage);
    for (size_t i = 0; json && i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].value >= 0 && json_object_set_new(json, numbers[i].name, json_integer(numbers[i].value)) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}
