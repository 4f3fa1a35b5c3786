/* tally_event_json: the same bytes as the typed calls make, and each mistake by its name. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tallymill/producer.h>

#include "producer/library/event.h"

static struct tally_event *begin(void)
{
    static const uint8_t id[TALLY_ID_BYTES] = {1};
    struct tally_event *event = tally_event_new();
    tally_event_begin(event, "login");
    tally_event_set_id(event, id);
    tally_event_created(event, 1768469400000000);
    return event;
}

static void check_same(struct tally_event *made, struct tally_event *typed)
{
    struct event_message a, b;
    struct tally_error err = TALLY_ERROR_INIT;
    cr_assert(event_encode(typed, &b, &err), "%s", err.text);
    cr_assert(event_encode(made, &a, &err), "%s", err.text);
    cr_assert_eq(a.value_length, b.value_length);
    cr_assert_arr_eq(a.value, b.value, a.value_length);
    tally_event_free(made);
    tally_event_free(typed);
}

static void json(struct tally_event *event, const char *key, const char *text)
{
    tally_event_json(event, key, text, strlen(text));
}

Test(event_json, makes_the_bytes_of_the_typed_calls)
{
    struct tally_event *made = begin(), *typed = begin();
    json(made, "cart", " {\"items\": [1, -2, \"\\u00fc\\n\", null, true, 1.5], \"empty\": {}, \"n\": 1e2} \n");
    json(made, "text", "\"plain\"");
    tally_event_map(typed, "cart");
    tally_event_array(typed, "items");
    tally_event_int(typed, NULL, 1);
    tally_event_int(typed, NULL, -2);
    tally_event_text(typed, NULL, "\xc3\xbc\n");
    tally_event_null(typed, NULL);
    tally_event_bool(typed, NULL, true);
    tally_event_number(typed, NULL, 1.5);
    tally_event_end(typed);
    tally_event_map(typed, "empty");
    tally_event_end(typed);
    tally_event_number(typed, "n", 100);
    tally_event_end(typed);
    tally_event_text(typed, "text", "plain");
    check_same(made, typed);
}

Test(event_json, keeps_whole_numbers_exact)
{
    struct tally_event *made = begin(), *typed = begin();
    json(made, "list", "[9007199254740993, -9223372036854775808, 9223372036854775807, 9223372036854775808, 18446744073709551615]");
    tally_event_array(typed, "list");
    tally_event_int(typed, NULL, 9007199254740993);
    tally_event_int(typed, NULL, INT64_MIN);
    tally_event_int(typed, NULL, INT64_MAX);
    tally_event_uint(typed, NULL, UINT64_C(1) << 63);
    tally_event_uint(typed, NULL, UINT64_MAX);
    tally_event_end(typed);
    check_same(made, typed);
}

Test(event_json, of_an_object_without_a_key_goes_in_entry_by_entry)
{
    struct tally_event *made = begin(), *typed = begin();
    tally_event_int(made, "before", 1);
    json(made, NULL, "{\"method\": \"email\", \"tries\": 2}");
    tally_event_key_n(made, "keyed and more", 5);
    json(made, NULL, "{\"a\": 1}");
    tally_event_array(made, "list");
    json(made, NULL, "{\"b\": 1}");
    tally_event_end(made);
    tally_event_int(typed, "before", 1);
    tally_event_text(typed, "method", "email");
    tally_event_int(typed, "tries", 2);
    tally_event_map(typed, "keyed");
    tally_event_int(typed, "a", 1);
    tally_event_end(typed);
    tally_event_array(typed, "list");
    tally_event_map(typed, NULL);
    tally_event_int(typed, "b", 1);
    tally_event_end(typed);
    tally_event_end(typed);
    check_same(made, typed);
}

Test(event_json, names_each_mistake)
{
    static char deep[64], large[WIRE_DATA_BYTES + 100], longest[1024 * 1024 + 2];
    memset(deep, '[', 20);
    memset(deep + 20, ']', 20);
    memset(large, 'x', sizeof large - 1);
    large[0] = large[sizeof large - 2] = '"';
    memset(longest, ' ', sizeof longest - 1);
    struct {
        const char *key, *text, *why;
    } cases[] = {
        {"k", "", "'k': there is no text"},
        {"k", NULL, "'k': there is no text"},
        {"k", "{\"a\": 1", "'k': no JSON"},
        {"k", "{} x", "'k': no JSON"},
        {"k", "{'a': 1}", "'k': no JSON"},
        {"k", "[1,]", "'k': no JSON"},
        {"k", "NaN", "'k': no JSON"},
        {"k", "\"\xff\"", "'k': no JSON"},
        {"k", "\"\\ud800\"", "'k': no JSON"},
        {"k", "\"\\u0000\"", "NUL"},
        {"k", "{\"a\": 1, \"\\u0061\": 2}", "twice"},
        {"k", "18446744073709551616", "beyond 64 bits"},
        {"k", "-9223372036854775809", "beyond 64 bits"},
        {"k", "1e400", "double"},
        {"k", deep, "16 levels"},
        {"k", large, "event_data"},
        {"k", longest, "longer than 1 MiB"},
        {"taken", "1", "twice"},
        {"", "1", "key"},
        {"k", "{\"\": 1}", "key"},
        {NULL, "[1]", "must be an object"},
        {NULL, "{\"taken\": 1}", "twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tally_event *event = begin();
        struct event_message message;
        struct tally_error err = TALLY_ERROR_INIT;
        tally_event_int(event, "taken", 1);
        tally_event_json(event, cases[i].key, cases[i].text, cases[i].text == NULL ? 5 : strlen(cases[i].text));
        cr_assert_not(event_encode(event, &message, &err), "case %zu", i);
        cr_assert_eq(err.code, TALLY_INVALID);
        cr_assert_not_null(strstr(err.text, cases[i].why), "case %zu: %s", i, err.text);
        tally_event_begin(event, "login"); /* and the event is good again */
        json(event, "k", "{\"a\": [1]}");
        cr_assert(event_encode(event, &message, &err), "case %zu: %s", i, err.text);
        tally_event_free(event);
    }
    tally_event_json(NULL, "k", "1", 1);
}

Test(event_json, of_every_truncation_is_a_mistake_and_of_no_byte_beyond_its_length_is_anything_read)
{
    static const char text[] = "{\"items\": [1, 2.5e3, \"\\u00fcx\", null, true], \"n\": {\"deep\": false}}";
    for (size_t length = 1; length < sizeof text; length++) {
        char *exact = malloc(length); /* the sanitizer's build sees one byte more */
        memcpy(exact, text, length);
        struct tally_event *event = begin();
        struct event_message message;
        tally_event_json(event, "k", exact, length);
        cr_assert_eq(event_encode(event, &message, NULL), length == sizeof text - 1, "length %zu", length);
        tally_event_free(event);
        free(exact);
    }
}

Test(event_json, is_copied_with_its_event_and_both_go_on)
{
    struct tally_event *made = begin(), *typed = begin(), *copy = tally_event_new();
    struct event_message message;
    json(made, "a", "[1]");
    tally_event_copy(copy, made);
    json(copy, "b", "[2]");
    tally_event_array(typed, "a");
    tally_event_int(typed, NULL, 1);
    tally_event_end(typed);
    tally_event_array(typed, "b");
    tally_event_int(typed, NULL, 2);
    tally_event_end(typed);
    cr_assert(event_encode(made, &message, NULL));
    tally_event_free(made);
    check_same(copy, typed);
}
