/* Where an event was refused, in the words of a dead letter. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/event_key.h"
#include "common/reason_detail.h"
#include "common/wire.h"

static const char *detail_of(enum reason reason, struct reason_place place)
{
    static char detail[REASON_DETAIL_ROOM];
    reason_detail(detail, reason, &place);
    return detail;
}

static const char *root(uint8_t first)
{
    const uint8_t value[64] = {first};
    return detail_of(REASON_ROOT, (struct reason_place){.value = value, .length = sizeof value, .field = -1});
}

Test(reason_detail, says_of_the_whole_value_what_it_is)
{
    const uint8_t byte = 0xc0;
    cr_expect_str_eq(detail_of(REASON_TOMBSTONE, (struct reason_place){.field = -1}),
                     "the value is null, as of a tombstone: there is no event in it");
    cr_expect_str_eq(detail_of(REASON_EMPTY, (struct reason_place){.value = &byte, .field = -1}),
                     "the value has no bytes: there is no event in it");
    cr_expect_str_eq(detail_of(REASON_SIZE, (struct reason_place){.value = &byte, .length = WIRE_VALUE_BYTES + 1, .field = -1}),
                     "the message's value is 1048577 bytes long, the most is 1048576");
}

Test(reason_detail, names_each_type_that_is_no_map)
{
    static const struct {
        uint8_t first;
        const char *name;
    } types[] = {{0xc0, "nil"},
                 {0xc3, "true or false"},
                 {7, "a number"},
                 {0xff, "a number"},
                 {0xcb, "a number"},
                 {0xa3, "text"},
                 {0xc4, "binary data"},
                 {0xd4, "an extension type"},
                 {0x93, "an array"},
                 {'{', "what looks like JSON text"},
                 {'[', "what looks like JSON text"},
                 {0xc1, "something else"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char wanted[REASON_DETAIL_ROOM];
        snprintf(wanted, sizeof wanted, "the value is %s, not a msgpack map with the event's fields", types[i].name);
        cr_expect_str_eq(root(types[i].first), wanted);
    }
}

Test(reason_detail, names_the_field_and_the_byte)
{
    const uint8_t value[100] = {0x82};
    struct reason_place place = {.value = value, .length = sizeof value, .at = 57, .field = KEY_DATA};
    cr_expect_str_eq(detail_of(REASON_TYPE, place), "byte 57, key event_data");
    cr_expect_str_eq(detail_of(REASON_SIZE, place), "byte 57, key event_data");
    place.field = KEY_COUNT;
    cr_expect_str_eq(detail_of(REASON_UNKNOWN_KEY, place), "byte 57, key (unknown)");
    place.field = -1;
    cr_expect_str_eq(detail_of(REASON_TRAILING, place), "byte 57 of the value, in none of its fields");
    place.field = KEY_ID;
    cr_expect_str_eq(detail_of(REASON_MISSING, place), "key id is required");
}

Test(reason_detail, tells_a_time_of_no_year_from_one_outside_the_window)
{
    const uint8_t value[100] = {0x82};
    struct reason_place place = {.value = value, .length = sizeof value, .at = 9, .field = KEY_CREATED_AT};
    cr_expect_str_eq(detail_of(REASON_TS_RANGE, place), "key created_at, outside window.oldest to window.ahead");
    place.field = KEY_DATA;
    cr_expect_str_eq(detail_of(REASON_TS_RANGE, place), "byte 9, key event_data: a time outside the years 0001 to 9999");
}
