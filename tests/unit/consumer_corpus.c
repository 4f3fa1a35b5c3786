/* consumer_corpus.c - the reader against the golden bytes (schemas/golden) and the hostile corpus (tests/data), file by file. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/uuid.h"
#include "consumer_event.h"

static uint8_t out[TRANSCODE_ROOM];

static void expect_text(const json_t *wanted, const char *column, const struct text_column *have, const char *name)
{
    const json_t *value = json_object_get(wanted, column);
    cr_assert_eq(json_is_null(value), have->is_null, "%s: %s", name, column);
    if (!have->is_null)
        cr_assert_str_eq(have->text, json_string_value(value), "%s: %s", name, column);
}

/* The same JSON, whichever way its doubles are spelt (1e-07 or 1e-7, 2 or 2.0): as Postgres's JSONB sees it. */
static void expect_json(const char *wanted, const char *have, const char *name)
{
    if (strcmp(wanted, have) == 0)
        return;
    json_t *left = json_loads(wanted, JSON_DECODE_INT_AS_REAL, NULL), *right = json_loads(have, JSON_DECODE_INT_AS_REAL, NULL);
    cr_assert(left && right && json_equal(left, right), "%s: wanted %s, have %s", name, wanted, have);
    json_decref(left);
    json_decref(right);
}

static void check_golden(struct transcoder *reader, struct row *row, const char *name)
{
    char path[1024];
    size_t length;
    snprintf(path, sizeof path, "%s/schemas/golden/%s.msgpack", SOURCE_DIR, name);
    uint8_t *event = file_read(path, &length);
    snprintf(path, sizeof path, "%s/schemas/golden/%s.json", SOURCE_DIR, name);
    json_t *wanted = json_load_file(path, 0, NULL);
    struct transcoded result;
    const enum reason reason = transcode(reader, event, length, 0, out, &result);
    cr_assert_eq(reason, REASON_NONE, "%s: %s, %s", name, reason_name(reason), transcoder_detail(reader));
    row_read(row, out, result.length);
    char id[UUID_TEXT_BYTES];
    cr_assert_str_eq(uuid_format(id, row->id), json_string_value(json_object_get(wanted, "id")), "%s", name);
    cr_assert_eq(row->created_at_us, json_integer_value(json_object_get(wanted, "created_at_us")), "%s", name);
    cr_assert_eq(row->is_internal, json_is_true(json_object_get(wanted, "is_internal")), "%s", name);
    cr_assert_eq(row->has_user, !json_is_null(json_object_get(wanted, "user_id")), "%s", name);
    if (row->has_user)
        cr_assert_eq(row->user_id, json_integer_value(json_object_get(wanted, "user_id")), "%s", name);
    expect_json(json_string_value(json_object_get(wanted, "event_data")), row->event_data.text, name);
    expect_text(wanted, "event_name", &row->event_name, name);
    expect_text(wanted, "event_category", &row->event_category, name);
    expect_text(wanted, "session_id", &row->session_id, name);
    json_decref(wanted);
    free(event);
}

Test(corpus, golden_bytes_become_the_rows_beside_them)
{
    char path[1024], line[512];
    struct row *row = malloc(sizeof *row);
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    snprintf(path, sizeof path, "%s/schemas/golden/index.tsv", SOURCE_DIR);
    FILE *index = fopen(path, "r");
    cr_assert_not_null(index);
    int count = 0;
    while (fgets(line, sizeof line, index)) {
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\t\n")] = '\0';
        check_golden(reader, row, line);
        count++;
    }
    cr_assert_gt(count, 20);
    fclose(index);
    free(row);
    transcoder_free(reader);
}

/* "DL:a|b" allows reason a or b, "DL:*" any, "OK" none. */
static bool is_allowed(const char *outcome, enum reason reason)
{
    if (reason == REASON_NONE || strcmp(outcome, "OK") == 0)
        return reason == REASON_NONE && strcmp(outcome, "OK") == 0;
    if (strcmp(outcome, "DL:*") == 0)
        return true;
    const char *name = reason_name(reason);
    const size_t length = strlen(name);
    for (const char *at = outcome + 3; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    return false;
}

Test(corpus, hostile_inputs_have_their_one_right_outcome)
{
    char path[1024], line[512];
    struct row *row = malloc(sizeof *row);
    const struct transcode_rules strict = {.reject_unknown_keys = true, .reject_unknown_events = true, .reject_attributes = true};
    struct transcoder *readers[2] = {reader_make((struct transcode_rules){0}), reader_make(strict)};
    snprintf(path, sizeof path, "%s/tests/data/hostile.tsv", SOURCE_DIR);
    FILE *index = fopen(path, "r");
    cr_assert_not_null(index);
    int count = 0, wrong = 0;
    while (fgets(line, sizeof line, index)) {
        char name[200], outcomes[2][200];
        if (line[0] == '#' || sscanf(line, "%199s %199s %199s", name, outcomes[0], outcomes[1]) != 3)
            continue;
        size_t length;
        snprintf(path, sizeof path, "%s/tests/data/hostile/%s", SOURCE_DIR, name);
        uint8_t *event = file_read(path, &length);
        for (int strictness = 0; strictness < 2; strictness++) {
            const char *outcome = outcomes[strictness];
            if (strcmp(outcome, "-") == 0)
                continue;
            struct transcoded result;
            uint8_t *value = strcmp(name, "tombstone") == 0 ? NULL : event;
            const enum reason reason = transcode(readers[strictness], value, value ? length : 0, 0, out, &result);
            if (!is_allowed(outcome, reason)) {
                fprintf(stderr, "%s (%s): wanted %s, got %s (%s)\n", name, strictness ? "strict" : "default", outcome,
                        reason_name(reason), transcoder_detail(readers[strictness]));
                wrong++;
            }
            if (reason == REASON_NONE)
                row_read(row, out, result.length);
        }
        free(event);
        count++;
    }
    cr_assert_eq(wrong, 0, "%d of %d hostile inputs have a wrong outcome", wrong, count);
    cr_assert_gt(count, 300);
    fclose(index);
    free(row);
    transcoder_free(readers[0]);
    transcoder_free(readers[1]);
}
