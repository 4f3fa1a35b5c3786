/* producer_columns.c - columns.c: which field becomes which column. Each case is a mapping, a line, and the event or the reason. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "producer/import/columns.h"
#include "producer/library/event.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

static struct columns *columns;
static struct tally_event *event;
static struct json *json;
static struct value_pool *pool;

static void open_all(void)
{
    columns = columns_new();
    event = tally_event_new();
    json = json_new(JSON_LINE_BYTES);
    pool = value_pool_new();
}

static void close_all(void)
{
    columns_free(columns);
    tally_event_free(event);
    json_free(json);
    value_pool_free(pool);
}

TestSuite(columns, .init = open_all, .fini = close_all);

static void map(const char *text)
{
    struct error err;
    cr_assert(columns_map(columns, text, &err), "%s", err.text);
}

static void constant(const char *text)
{
    struct error err;
    cr_assert(columns_const(columns, text, &err), "%s", err.text);
}

static void rest(const char *text)
{
    struct error err;
    cr_assert(columns_rest(columns, text, &err), "%s", err.text);
}

static bool fill(const char *line, struct error *err)
{
    value_pool_reset(pool);
    struct value *object = json_read(json, pool, line, strlen(line), err);
    cr_assert_not_null(object, "%s: %s", line, err->text);
    return columns_fill(columns, object, event, err);
}

static void must_fill(const char *line)
{
    struct error err;
    cr_assert(fill(line, &err), "%s: %s", line, err.text);
    struct event_message message;
    struct tally_error reason;
    cr_assert(event_encode(event, &message, &reason), "%s: %s", line, reason.text);
}

static void must_reject(const char *line, const char *text)
{
    struct error err = {0};
    cr_assert(!fill(line, &err), "'%s' was expected of %s", text, line);
    cr_assert_eq(err.kind, ERROR_REJECT);
    cr_assert_not_null(strstr(err.text, text), "'%s' is not in '%s'", text, err.text);
}

static void check_ok(void)
{
    struct error err;
    cr_assert(columns_check(columns, &err), "%s", err.text);
}

/* The event's attributes as msgpack, without the map's header. */
static bool has_data(const char *bytes, size_t length)
{
    return event->end - EVENT_HEAD_BYTES == length && memcmp(event->bytes + EVENT_HEAD_BYTES, bytes, length) == 0;
}
#define HAS_DATA(bytes) has_data(bytes, sizeof(bytes) - 1)

Test(columns, without_a_mapping_fields_named_like_columns_are_them)
{
    check_ok();
    must_fill("{\"id\": \"019BC0FD-8aba-7a3c-9d4e-5f60718293a4\", \"event_name\": \"login\", \"event_category\": \"business\", "
              "\"session_id\": \"s\", \"user_id\": 7,"
              " \"is_internal\": true, \"created_at\": \"2026-01-15T09:30:00.25Z\", \"event_data\": {\"a\": 1}}");
    cr_assert_arr_eq(event->id, "\x01\x9b\xc0\xfd\x8a\xba\x7a\x3c\x9d\x4e\x5f\x60\x71\x82\x93\xa4", 16);
    cr_assert_eq(event->created_at_us, 1768469400250000);
    cr_assert_eq(event->user_id, 7);
    cr_assert(event->is_internal && event->has_user && event->session_id_length == 1 && event->event_category_length == 8);
    cr_assert(HAS_DATA("\xa1\x61\x01"));
}

Test(columns, absent_and_null_optional_fields_are_absent_and_the_time_is_now)
{
    check_ok();
    must_fill(
        "{\"event_name\": \"login\", \"session_id\": null, \"user_id\": \"\", \"event_category\": \"\", \"created_at\": null}");
    cr_assert(!event->has_user && event->session_id_length == 0 && event->event_category_length == 0 && event->has_created);
    must_reject("{\"session_id\": \"s\"}", "event_name is missing");
    must_reject("{\"event_name\": \"login\", \"other\": 1}", "the field 'other' goes nowhere");
}

Test(columns, maps_the_real_requests_as_the_readme_does)
{
    constant("event_name=page_view");
    map("session_id=client");
    map("created_at=time");
    rest("event_data");
    check_ok();
    must_fill("{\"time\": \"2015-05-17T10:05:03Z\", \"client\": \"83.149.9.216\", \"id\": 5, \"bytes\": null}");
    cr_assert_arr_eq(event->session_id, "83.149.9.216", event->session_id_length);
    cr_assert_eq(event->created_at_us, 1431857103000000);
    cr_assert(HAS_DATA("\xa2id\x05\xa5"
                       "bytes\xc0"),
              "with a mapping, a field called id is only a field");
    must_reject("{\"client\": \"x\"}", "created_at is missing: no field 'time'");
}

Test(columns, dots_lead_into_objects_unless_a_name_holds_them)
{
    map("event_name=event.name");
    map("event_data.who=user.name");
    rest("none");
    check_ok();
    must_fill("{\"event\": {\"name\": \"login\"}, \"user\": {\"name\": \"x\", \"age\": 3}}");
    cr_assert(HAS_DATA("\xa3who\xa1x"));
    must_fill("{\"event.name\": \"signup\", \"event\": {\"name\": \"login\"}}");
    cr_assert_arr_eq(event->event_name, "signup", 6);
    must_reject("{\"event\": 5}", "event_name is missing");
}

Test(columns, what_was_mapped_is_not_in_the_rest_and_one_field_may_serve_twice)
{
    map("event_name=name");
    map("session_id=user.session");
    map("event_data.session=user.session");
    rest("event_data");
    check_ok();
    must_fill("{\"name\": \"login\", \"user\": {\"session\": \"s\", \"age\": 3}}");
    cr_assert_eq(event->session_id_length, 1);
    cr_assert(HAS_DATA("\xa7session\xa1s\xa4user\x81\xa3"
                       "age\x03"));
}

Test(columns, constants_are_texts_and_json_values_in_event_data)
{
    constant("event_name=login");
    constant("user_id=42");
    constant("is_internal=true");
    constant("created_at=2026-01-15T09:30:00Z");
    constant("event_data.n=42");
    constant("event_data.t=forty two");
    constant("event_data.l=[1]");
    check_ok();
    must_fill("{}");
    cr_assert(event->user_id == 42 && event->is_internal);
    cr_assert(HAS_DATA("\xa1n\x2a\xa1t\xa9"
                       "forty two\xa1l\x91\x01"));
    must_fill("{}");
}

Test(columns, takes_integers_and_texts_of_digits_for_each_other_and_nothing_else)
{
    check_ok();
    must_fill(
        "{\"event_name\": \"login\", \"session_id\": 12345, \"user_id\": \"9223372036854775807\", \"is_internal\": \"false\"}");
    cr_assert_eq(event->user_id, INT64_MAX);
    cr_assert_arr_eq(event->session_id, "12345", 5);
    must_reject("{\"event_name\": \"login\", \"session_id\": 1.5}", "session_id is no text");
    must_fill("{\"event_name\": \"login\", \"user_id\": 1001.0}");
    cr_assert_eq(event->user_id, 1001);
    must_fill("{\"event_name\": \"login\", \"user_id\": \"1001.00\"}");
    cr_assert_eq(event->user_id, 1001);
    must_reject("{\"event_name\": \"login\", \"user_id\": 1.5}", "user_id is no integer");
    must_reject("{\"event_name\": \"login\", \"user_id\": 1e17}", "user_id is no integer");
    must_reject("{\"event_name\": \"login\", \"user_id\": \"1.\"}", "user_id is no integer");
    must_reject("{\"event_name\": \"login\", \"user_id\": \"1001.5\"}", "user_id is no integer");
    must_reject("{\"event_name\": \"login\", \"user_id\": 18446744073709551615}", "user_id is above 2^63 - 1");
    must_reject("{\"event_name\": \"login\", \"user_id\": \"9223372036854775808\"}", "user_id is no integer");
    must_reject("{\"event_name\": \"login\", \"user_id\": \"-\"}", "user_id is no integer");
    must_fill("{\"event_name\": \"login\", \"is_internal\": 1}");
    cr_assert(event->is_internal);
    must_reject("{\"event_name\": \"login\", \"is_internal\": 2}", "is_internal is neither");
    must_reject("{\"event_name\": \"login\", \"is_internal\": 1.0}", "is_internal is neither");
    must_reject("{\"event_name\": \"login\", \"id\": \"5\"}", "id is no UUID");
    must_reject("{\"event_name\": \"login\", \"event_data\": [1]}", "event_data is no object");
    must_reject("{\"event_name\": {}}", "event_name is no text");
    must_reject("{\"event_name\": {\"S\": \"login\"}}", "--map 'event_name=event_name.S'");
    must_reject("{\"event_name\": \"login\", \"user_id\": {\"$numberLong\": \"5\"}}", "--map 'user_id=user_id.$numberLong'");
    must_reject("{\"event_name\": \"login\", \"created_at\": {\"$date\": 5}}", "--map 'created_at=created_at.$date'");
    must_reject("{\"event_name\": {\"0\": \"login\"}}", "lines=True");
}

Test(columns, refuses_mappings_that_cannot_be_meant)
{
    struct error err;
    cr_assert(!columns_map(columns, "event_nam=x", &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
    cr_assert_not_null(strstr(err.text, "did you mean event_name"), "%s", err.text);
    cr_assert(!columns_map(columns, "event_name", &err));
    cr_assert(!columns_map(columns, "=x", &err));
    cr_assert(!columns_map(columns, "event_name=", &err));
    cr_assert(!columns_map(columns, "event_data.=x", &err));
    cr_assert(!columns_rest(columns, "elsewhere", &err));
    cr_assert(!columns_const(columns, "event_name=\xff", &err));
    map("created_at=time");
    cr_assert(!columns_map(columns, "created_at=other", &err));
    cr_assert_not_null(strstr(err.text, "already"), "%s", err.text);
    cr_assert(!columns_check(columns, &err));
    cr_assert_not_null(strstr(err.text, "no column event_name"), "%s", err.text);
}

Test(columns, attributes_that_do_not_fit_are_told_by_the_event)
{
    struct error err;
    check_ok();
    cr_assert(fill("{\"event_name\": \"login\", \"event_data\": {\"\": 1}}", &err));
    struct event_message message;
    struct tally_error reason;
    cr_assert(!event_encode(event, &message, &reason));
    cr_assert_not_null(strstr(reason.text, "has 0 bytes"));
}

Test(columns, a_default_stands_where_a_line_has_nothing)
{
    map("event_name=kind");
    map("session_id=who");
    struct error err;
    cr_assert(columns_default(columns, "event_name=login", &err), "%s", err.text);
    cr_assert(columns_default(columns, "event_data.n=5", &err), "%s", err.text);
    cr_assert(columns_default(columns, "event_data.m=x", &err), "%s", err.text);
    cr_assert(!columns_const(columns, "event_data.m=y", &err));
    rest("event_data");
    check_ok();
    must_fill("{\"kind\": null, \"m\": 1}");
    cr_assert_arr_eq(event->event_name, "login", 5);
    cr_assert(HAS_DATA("\xa1n\x05\xa1m\x01"), "what a line has by itself stays");
    must_fill("{\"kind\": \"\", \"n\": 6}");
    cr_assert_arr_eq(event->event_name, "login", 5);
    must_fill("{\"kind\": \"page_view\"}");
    cr_assert_arr_eq(event->event_name, "page_view", 9);
}

Test(columns, dots_lead_into_objects_on_both_sides)
{
    constant("event_name=performance");
    map("event_data.latency.ttft=t.first");
    map("event_data.latency.total=t.all");
    map("event_data.flat=x");
    rest("none");
    check_ok();
    must_fill("{\"t\": {\"first\": 1, \"all\": 2}, \"x\": 3, \"other\": 4}");
    cr_assert(HAS_DATA("\xa7latency\x82\xa4ttft\x01\xa5total\x02\xa4"
                       "flat\x03"));
    struct error err;
    cr_assert(columns_const(columns, "event_data.latency=1", &err));
    must_reject("{\"t\": {\"first\": 1}}", "has two values");
}

Test(columns, an_object_emptied_by_the_mapping_is_no_rest)
{
    map("event_name=a.b.name");
    map("session_id=a.b.session");
    map("event_data.x=c.x");
    check_ok();
    must_fill("{\"a\": {\"b\": {\"name\": \"login\", \"session\": \"s\"}}, \"c\": {\"x\": 1}}");
    must_reject("{\"a\": {\"b\": {\"name\": \"login\"}, \"d\": 1}}", "'a' goes nowhere");
    must_reject("{\"a\": {\"b\": {\"name\": \"login\"}}, \"e\": {}}", "'e' goes nowhere");
}

Test(columns, an_event_as_it_is_sent_is_read_back)
{
    check_ok();
    columns_time_unit(columns, TIME_UNIT_US);
    must_fill("{\"v\": 1, \"id\": \"AZvA/Yq6ejydTl9gcYKTpA==\", \"event_name\": \"login\", \"created_at\": 1768469400250000}");
    cr_assert_arr_eq(event->id, "\x01\x9b\xc0\xfd\x8a\xba\x7a\x3c\x9d\x4e\x5f\x60\x71\x82\x93\xa4", 16);
    must_reject("{\"v\": 2, \"event_name\": \"login\"}", "'v' goes nowhere");
}

Test(columns, the_fingerprint_tells_mappings_apart)
{
    uint64_t none = columns_fingerprint(columns);
    map("event_name=a");
    uint64_t one = columns_fingerprint(columns);
    constant("user_id=5");
    cr_assert(none != one && one != columns_fingerprint(columns));
    struct columns *other = columns_new();
    struct error err;
    cr_assert(columns_map(other, "event_name=a", &err));
    cr_assert_eq(columns_fingerprint(other), one);
    columns_free(other);
}

Test(columns, whole_numbers_are_exact_to_64_bits_and_beyond_that_refused_where_they_are_wanted)
{
    rest("event_data");
    map("event_name=kind");
    check_ok();
    must_fill(
        "{\"kind\": 18446744073709551615, \"a\": 18446744073709551615, \"b\": -9223372036854775808, \"c\": 9223372036854775808}");
    cr_assert_arr_eq(event->event_name, "18446744073709551615", 20);
    cr_assert(HAS_DATA("\xa1"
                       "a\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1"
                       "b\xd3\x80\0\0\0\0\0\0\0\xa1"
                       "c\xcf\x80\0\0\0\0\0\0\0"));
    static const struct {
        const char *line, *reason;
    } beyond[] = {
        {"{\"kind\": \"x\", \"wei\": 18446744073709551616}", "wei is beyond 64 bits: quote it to keep it as text"},
        {"{\"kind\": \"x\", \"wei\": {\"list\": [1, -9223372036854775809]}}",
         "list is beyond 64 bits: quote it to keep it as text"},
        {"{\"kind\": \"x\", \"wei\": 1e400}", "wei is no number that a double can hold"},
    };
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        struct error err;
        struct event_message message;
        struct tally_error reason;
        cr_assert(fill(beyond[i].line, &err), "%s", err.text);
        cr_assert(!event_encode(event, &message, &reason), "%s", beyond[i].line);
        cr_assert_not_null(strstr(reason.text, beyond[i].reason), "%s", reason.text);
    }
    must_reject("{\"kind\": 18446744073709551616}", "event_name is beyond 64 bits");
}

Test(columns, what_goes_nowhere_may_be_beyond_64_bits)
{
    constant("event_name=login");
    rest("none");
    check_ok();
    must_fill("{\"wei\": 1000000000000000000000}");
}

Test(columns, event_data_may_be_json_text_or_an_empty_array)
{
    check_ok();
    must_fill("{\"event_name\": \"login\", \"event_data\": \"{\\\"action\\\": \\\"copy\\\"}\"}");
    cr_assert(HAS_DATA("\xa6"
                       "action\xa4"
                       "copy"));
    static const char *const empty[] = {"[]", "{}", "\"{}\"", "\"[]\"", "\"\"", "null", "\"null\""};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char line[100];
        snprintf(line, sizeof line, "{\"event_name\": \"login\", \"event_data\": %s}", empty[i]);
        must_fill(line);
        cr_assert(HAS_DATA(""));
    }
    must_reject("{\"event_name\": \"login\", \"event_data\": \"{x\"}", "event_data is no object: as text it is no JSON");
    must_reject("{\"event_name\": \"login\", \"event_data\": \"[1]\"}", "event_data is no object");
    must_reject("{\"event_name\": \"login\", \"event_data\": \"5\"}", "event_data is no object");
}

Test(columns, what_programs_write_for_true_and_false)
{
    check_ok();
    static const char *const truths[][2] = {{"t", "f"}, {"true", "false"}, {"True", "False"}, {"TRUE", "FALSE"}, {"yes", "No"},
                                            {"Y", "n"}, {"on", "OFF"},     {"1", "0"},        {"T", "F"}};
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++)
        for (int is_false = 0; is_false < 2; is_false++) {
            char line[100];
            snprintf(line, sizeof line, "{\"event_name\": \"login\", \"is_internal\": \"%s\"}", truths[i][is_false]);
            must_fill(line);
            cr_assert_eq(event->is_internal, !is_false);
        }
    must_reject("{\"event_name\": \"login\", \"is_internal\": \"10\"}", "is_internal is neither");
    must_reject("{\"event_name\": \"login\", \"is_internal\": \"maybe\"}", "is_internal is neither");
}

Test(columns, what_our_own_table_has_besides_is_dropped_unless_it_is_wanted)
{
    check_ok();
    must_fill("{\"event_name\": \"login\", \"batch_id\": 5, \"ip_address\": \"::1\"}");
    cr_assert_not_null(strstr(columns_take_notice(columns), "batch_id"));
    cr_assert_not_null(strstr(columns_take_notice(columns), "ip_address"));
    cr_assert_null(columns_take_notice(columns));
    must_fill("{\"event_name\": \"login\", \"batch_id\": 5}");
    cr_assert_null(columns_take_notice(columns), "told once");
}

Test(columns, an_address_that_is_mapped_is_kept)
{
    map("event_name=event_name");
    map("event_data.ip=ip_address");
    check_ok();
    must_fill("{\"event_name\": \"login\", \"batch_id\": 5, \"ip_address\": \"::1\"}");
    cr_assert(HAS_DATA("\xa2"
                       "ip\xa3::1"));
}
