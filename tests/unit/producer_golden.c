/* producer_golden.c - the encoder against schemas/golden: building the event of NAME.json gives NAME.msgpack, byte for byte. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/error.h"
#include "common/uuid.h"
#include "producer/library/event.h"
#include "producer/library/json.h"
#include "producer/library/value.h"
#include "producer/library/value_event.h"

struct bytes {
    uint8_t data[4096];
    size_t length;
};

static struct bytes read_golden(const char *name)
{
    char path[512];
    struct bytes bytes = {0};
    snprintf(path, sizeof path, "%s/schemas/golden/%s.msgpack", SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    bytes.length = fread(bytes.data, 1, sizeof bytes.data, file);
    fclose(file);
    cr_assert_lt(bytes.length, sizeof bytes.data);
    return bytes;
}

static json_t *read_row(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/schemas/golden/%s.json", SOURCE_DIR, name);
    json_t *row = json_load_file(path, 0, NULL);
    cr_assert_not_null(row, "%s", path);
    return row;
}

static void begin_from_row(struct tally_event *event, const json_t *row)
{
    uint8_t id[UUID_BYTES];
    const char *text = json_string_value(json_object_get(row, "id"));
    cr_assert(uuid_parse(text, strlen(text), id));
    tally_event_begin(event, json_string_value(json_object_get(row, "event_name")));
    tally_event_set_id(event, id);
    tally_event_created(event, json_integer_value(json_object_get(row, "created_at_us")));
    if (json_is_string(json_object_get(row, "session_id")))
        tally_event_session(event, json_string_value(json_object_get(row, "session_id")));
    if (json_is_integer(json_object_get(row, "user_id")))
        tally_event_user(event, json_integer_value(json_object_get(row, "user_id")));
    tally_event_internal(event, json_is_true(json_object_get(row, "is_internal")));
}

static void assert_encodes(struct tally_event *event, const char *name)
{
    struct bytes golden = read_golden(name);
    struct event_message message;
    struct tally_error err;
    cr_assert(event_encode(event, &message, &err), "%s: %s", name, err.text);
    cr_assert_eq(message.value_length, golden.length, "%s: %zu bytes, not %zu", name, message.value_length, golden.length);
    cr_assert_arr_eq(message.value, golden.data, golden.length, "%s", name);
}

Test(golden, every_row_of_the_index_encodes_to_its_bytes)
{
    FILE *index = fopen(SOURCE_DIR "/schemas/golden/index.tsv", "r");
    cr_assert_not_null(index);
    char line[512], name[64], maker[16];
    int checked = 0;
    struct tally_event *event = tally_event_new();
    while (fgets(line, sizeof line, index) != NULL) {
        if (line[0] == '#' || sscanf(line, "%63s %15s", name, maker) != 2 || strcmp(maker, "json") != 0)
            continue;
        json_t *row = read_row(name);
        begin_from_row(event, row);
        /* The category is only sent where the application gave it: in these two. */
        if (strcmp(name, "full") == 0 || strcmp(name, "longest_text") == 0)
            tally_event_category(event, json_string_value(json_object_get(row, "event_category")));
        const char *text = json_string_value(json_object_get(row, "event_data"));
        struct error err;
        struct json *json = json_new(JSON_LINE_BYTES);
        struct value_pool *pool = value_pool_new();
        struct value *data = json_read(json, pool, text, strlen(text), &err);
        cr_assert_not_null(data, "%s", name);
        value_event_put_rest(event, data);
        assert_encodes(event, name);
        json_free(json);
        value_pool_free(pool);
        json_decref(row);
        checked++;
    }
    fclose(index);
    tally_event_free(event);
    cr_assert_geq(checked, 12);
}

Test(golden, what_json_cannot_say_encodes_too)
{
    struct tally_event *event = tally_event_new();
    json_t *row = read_row("binary");
    begin_from_row(event, row);
    tally_event_bytes(event, "digest", "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16);
    tally_event_bytes(event, "none", NULL, 0);
    tally_event_bytes(event, "one", "\xff", 1);
    assert_encodes(event, "binary");
    json_decref(row);

    row = read_row("unsigned");
    begin_from_row(event, row);
    tally_event_array(event, "list");
    tally_event_uint(event, NULL, UINT64_C(9223372036854775808));
    tally_event_uint(event, NULL, UINT64_MAX);
    tally_event_end(event);
    assert_encodes(event, "unsigned");
    json_decref(row);
    tally_event_free(event);
}

Test(golden, the_worked_example_of_the_wire_page_has_the_key_it_says)
{
    struct tally_event *event = tally_event_new();
    json_t *row = read_row("worked");
    begin_from_row(event, row);
    tally_event_text(event, "action", "copy");
    tally_event_text(event, "doc_type", "README");
    assert_encodes(event, "worked");
    struct event_message message;
    cr_assert(event_encode(event, &message, NULL));
    cr_assert_eq(message.key_length, 4);
    cr_assert_arr_eq(message.key, "s-42", 4);
    cr_assert_arr_eq((const uint8_t *)message.value + EVENT_ID_POSITION, event->id, UUID_BYTES);
    json_decref(row);
    tally_event_free(event);
}
