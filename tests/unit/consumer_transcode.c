/* consumer_transcode.c - the reader against events packed by msgpack-c, and its rules one by one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "consumer_event.h"

static uint8_t out[TRANSCODE_ROOM];

Test(transcode, makes_a_tuple_with_every_column_in_its_place)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    struct transcoded result;
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_NONE);
    struct row *row = malloc(sizeof *row);
    row_read(row, out, result.length);
    cr_assert_str_eq(row->event_name.text, "login");
    cr_assert_str_eq(row->event_category.text, "business", "filled in from the catalogue");
    cr_assert_str_eq(row->event_data.text, "{\"method\":\"email\"}");
    cr_assert(row->session_id.is_null);
    cr_assert_not(row->has_user);
    cr_assert_not(row->is_internal);
    cr_assert_eq(row->created_at_us, JANUARY_15_US);
    cr_assert_eq(result.day, clock_day_of(JANUARY_15_US));
    free(row);
    transcoder_free(reader);
}

Test(transcode, refuses_every_prefix_of_a_valid_event_as_truncated)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    struct transcoded result;
    for (size_t cut = 1; cut < length; cut++) {
        uint8_t *exact = malloc(cut); /* so that the address sanitizer sees a byte read too many */
        memcpy(exact, event, cut);
        cr_assert_eq(transcode(reader, exact, cut, 0, out, &result), REASON_TRUNCATED, "prefix of %zu bytes", cut);
        free(exact);
    }
    cr_assert_eq(transcode(reader, event, 0, 0, out, &result), REASON_EMPTY);
    cr_assert_eq(transcode(reader, NULL, 0, 0, out, &result), REASON_TOMBSTONE);
    transcoder_free(reader);
}

Test(transcode, survives_every_byte_changed_to_every_value)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    struct row *row = malloc(sizeof *row);
    for (size_t at = 0; at < length; at++) {
        const uint8_t kept = event[at];
        for (int byte = 0; byte < 256; byte++) {
            struct transcoded result;
            event[at] = (uint8_t)byte;
            if (transcode(reader, event, length, 0, out, &result) == REASON_NONE)
                row_read(row, out, result.length);
        }
        event[at] = kept;
    }
    free(row);
    transcoder_free(reader);
}

Test(transcode, says_where_an_event_went_wrong)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    struct transcoded result;
    uint8_t *method = memmem(event, length, "email", 5);
    method[2] = 0xff;
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_UTF8);
    cr_assert_not_null(strstr(transcoder_detail(reader), "key event_data"));
    transcoder_free(reader);
}

Test(transcode, takes_a_time_outside_the_window_by_policy)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){0}),
                      *clamping = reader_make((struct transcode_rules){.clamp = true});
    struct transcoded result;
    transcoder_set_window(reader, JANUARY_15_US + 1, JANUARY_15_US + CLOCK_DAY_US);
    cr_assert_eq(transcode(reader, event, length, JANUARY_15_US + 5, out, &result), REASON_TS_RANGE);
    transcoder_set_window(reader, JANUARY_15_US, JANUARY_15_US + CLOCK_DAY_US);
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_NONE, "the window's first microsecond is inside");
    transcoder_set_window(reader, JANUARY_1_US, JANUARY_15_US);
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_TS_RANGE, "its end is outside");

    transcoder_set_window(clamping, JANUARY_15_US + 1, JANUARY_15_US + CLOCK_DAY_US);
    cr_assert_eq(transcode(clamping, event, length, JANUARY_15_US + 5, out, &result), REASON_NONE);
    struct row *row = malloc(sizeof *row);
    row_read(row, out, result.length);
    cr_assert_eq(row->created_at_us, JANUARY_15_US + 5);
    cr_assert_str_eq(row->event_data.text, "{\"method\":\"email\",\"_created_at\":1768435200000000}");
    cr_assert_eq(transcode(clamping, event, length, -1000, out, &result), REASON_TS_RANGE, "Kafka's time is of no use either");
    free(row);
    transcoder_free(reader);
    transcoder_free(clamping);
}

Test(transcode, counts_or_refuses_attributes_against_the_catalogue)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *counting = reader_make((struct transcode_rules){0}),
                      *refusing = reader_make((struct transcode_rules){.reject_attributes = true});
    struct transcoded result;
    cr_assert_eq(transcode(refusing, event, length, 0, out, &result), REASON_NONE);
    memcpy(memmem(event, length, "email", 5), "e-mai", 5);
    cr_assert_eq(transcode(counting, event, length, 0, out, &result), REASON_NONE);
    cr_assert(result.breaks_attributes);
    cr_assert_eq(transcode(refusing, event, length, 0, out, &result), REASON_SCHEMA);
    transcoder_free(counting);
    transcoder_free(refusing);
}

Test(transcode, stores_or_refuses_an_event_that_the_catalogue_does_not_know)
{
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *counting = reader_make((struct transcode_rules){0}),
                      *refusing = reader_make((struct transcode_rules){.reject_unknown_events = true});
    struct transcoded result;
    memcpy(memmem(event, length, "login", 5), "logon", 5);
    cr_assert_eq(transcode(counting, event, length, 0, out, &result), REASON_NONE);
    cr_assert(result.is_unknown_event);
    cr_assert_eq(transcode(refusing, event, length, 0, out, &result), REASON_UNKNOWN_EVENT);
    transcoder_free(counting);
    transcoder_free(refusing);
}

Test(transcode, names_the_key_of_a_time_that_nobody_can_store)
{
    static const uint8_t never[] = {0xc7, 12, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0};
    uint8_t event[512];
    size_t length = event_pack(event);
    uint8_t *text = memmem(event, length,
                           "\xa5"
                           "email",
                           6);
    cr_assert_not_null(text);
    memmove(text + sizeof never, text + 6, length - (size_t)(text + 6 - event));
    memcpy(text, never, sizeof never);
    length += sizeof never - 6;
    struct transcoder *reader = reader_make((struct transcode_rules){0});
    struct transcoded result;
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_TS_RANGE);
    cr_assert_not_null(strstr(transcoder_detail(reader), "key event_data: a time outside the years"), "%s",
                       transcoder_detail(reader));
    transcoder_free(reader);
}

/* The event_data of the event under this header. */
static const char *data_with_trace(struct transcoder *reader, const char *trace, const uint8_t *event, size_t length)
{
    static struct row row;
    struct transcoded result;
    transcoder_set_trace(reader, trace, trace == NULL ? 0 : strlen(trace));
    cr_assert_eq(transcode(reader, event, length, 0, out, &result), REASON_NONE);
    row_read(&row, out, result.length);
    return row.event_data.text;
}

Test(transcode, keeps_the_trace_of_the_message_where_it_shall_and_no_other_text)
{
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const char kept[] = "{\"method\":\"email\",\"_trace\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}";
    static const char plain[] = "{\"method\":\"email\"}";
    uint8_t event[512];
    const size_t length = event_pack(event);
    struct transcoder *reader = reader_make((struct transcode_rules){.keep_trace = true}),
                      *other = reader_make((struct transcode_rules){0});
    cr_assert_str_eq(data_with_trace(reader, trace, event, length), kept);
    cr_assert_str_eq(data_with_trace(reader, NULL, event, length), plain);
    cr_assert_str_eq(data_with_trace(other, trace, event, length), plain, "wire.trace = drop");
    cr_assert_str_eq(data_with_trace(reader, "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", event, length), plain);
    cr_assert_str_eq(data_with_trace(reader, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", event, length), plain);
    cr_assert_str_eq(data_with_trace(reader, "\"},{\"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", event, length), plain);
    uint8_t *name = memmem(event, length, "\xa6method", 7);
    memcpy(name, "\xa6_trace", 7);
    cr_assert_str_eq(data_with_trace(reader, trace, event, length), "{\"_trace\":\"email\"}", "its own stays");
    transcoder_free(reader);
    transcoder_free(other);
}
