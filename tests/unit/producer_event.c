/* producer_event.c - building and encoding events: limits, mistakes that are remembered, and msgpack-c as the oracle. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "producer/generate/random.h"
#include "producer/library/event.h"

static struct tally_event *event;

static void open_event(void)
{
    event = tally_event_new();
}

static void close_event(void)
{
    tally_event_free(event);
}

TestSuite(event, .init = open_event, .fini = close_event);

static struct event_message must_encode(void)
{
    struct event_message message;
    struct tally_error err;
    cr_assert(event_encode(event, &message, &err), "%s", err.text);
    return message;
}

static void must_fail(const char *text)
{
    struct event_message message;
    struct tally_error err = {0};
    cr_assert(!event_encode(event, &message, &err), "'%s' was expected", text);
    cr_assert_eq(err.code, TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, text), "'%s' is not in '%s'", text, err.text);
}

static char *repeat(char c, size_t length)
{
    static char text[100000];
    memset(text, c, length);
    text[length] = '\0';
    return text;
}

Test(event, publishing_again_sends_the_same_bytes)
{
    tally_event_begin(event, "login");
    tally_event_text(event, "method", "email");
    struct event_message message = must_encode();
    uint8_t first[256];
    memcpy(first, message.value, message.value_length);
    struct event_message again = must_encode();
    cr_assert_eq(again.value_length, message.value_length);
    cr_assert_arr_eq(again.value, first, message.value_length);
}

Test(event, without_a_session_the_key_is_the_id_as_text)
{
    char id[TALLY_ID_TEXT_BYTES];
    tally_event_begin(event, "login");
    struct event_message message = must_encode();
    cr_assert_eq(message.key_length, 36);
    cr_assert_arr_eq(message.key, tally_event_id_text(event, id), 36);
    cr_assert_eq(id[14], '7', "a version 7 id");
}

Test(event, a_begun_event_holds_nothing_of_the_one_before)
{
    tally_event_begin(event, "login");
    tally_event_session(event, "s");
    tally_event_user(event, 1);
    tally_event_internal(event, true);
    tally_event_category(event, "business");
    tally_event_text(event, "a", "b");
    tally_event_text(event, "a", "twice");
    uint8_t first[TALLY_ID_BYTES], second[TALLY_ID_BYTES];
    tally_event_id(event, first);
    tally_event_begin(event, "login");
    struct event_message message = must_encode();
    cr_assert_eq(message.value_length, 3 + 16 + 2 + 11 + 6 + 11 + 9 + 1, "id, name and time alone: %zu bytes",
                 message.value_length);
    tally_event_id(event, second);
    cr_assert_neq(memcmp(first, second, sizeof first), 0);
}

Test(event, texts_of_columns_are_taken_at_their_limits_and_refused_one_past)
{
    tally_event_begin(event, repeat('n', 100));
    tally_event_category(event, repeat('c', 50));
    tally_event_session(event, repeat('s', 255));
    must_encode();
    tally_event_begin(event, repeat('n', 101));
    must_fail("event_name has 101 bytes");
    tally_event_begin(event, "");
    must_fail("event_name has 0 bytes");
    tally_event_begin(event, NULL);
    must_fail("event_name has 0 bytes");
    tally_event_begin(event, "login");
    tally_event_category(event, repeat('c', 51));
    must_fail("event_category has 51 bytes");
    tally_event_begin(event, "login");
    tally_event_session(event, repeat('s', 256));
    must_fail("session_id has 256 bytes");
    tally_event_begin(event, "login");
    tally_event_session(event, "\xff");
    must_fail("session_id is not UTF-8");
}

Test(event, remembers_the_first_mistake_until_it_is_begun_anew)
{
    tally_event_begin(event, "login");
    tally_event_user(event, -1);
    tally_event_number(event, "x", NAN);
    tally_event_text(event, "y", "fine");
    must_fail("user_id is negative");
    must_fail("user_id is negative");
    tally_event_begin(event, "login");
    must_encode();
}

Test(event, refuses_what_would_become_a_dead_letter)
{
    uint8_t zero[TALLY_ID_BYTES] = {0};
    must_fail("never begun");
    tally_event_begin(event, "login");
    tally_event_set_id(event, zero);
    must_fail("id is all zero");
    for (int i = 0; i < 3; i++) {
        tally_event_begin(event, "login");
        tally_event_number(event, "x", i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY);
        must_fail("not finite");
    }
    tally_event_begin(event, "login");
    tally_event_text_n(event, "x", "a\0b", 3);
    must_fail("holds a NUL");
    tally_event_begin(event, "login");
    tally_event_int(event, "\xed\xa0\x80", 1);
    must_fail("a key of event_data is not UTF-8");
    tally_event_begin(event, "login");
    tally_event_int(event, "", 1);
    must_fail("a key of event_data has 0 bytes");
}

Test(event, refuses_a_structure_that_does_not_close_or_mixes_maps_and_arrays)
{
    tally_event_begin(event, "login");
    tally_event_map(event, "a");
    must_fail("were not closed");
    tally_event_begin(event, "login");
    tally_event_end(event);
    must_fail("without an open map or array");
    tally_event_begin(event, "login");
    tally_event_int(event, NULL, 1);
    must_fail("needs a key");
    tally_event_begin(event, "login");
    tally_event_array(event, "a");
    tally_event_int(event, "b", 1);
    must_fail("takes no key");
}

Test(event, refuses_a_key_twice_in_one_map_at_every_level)
{
    tally_event_begin(event, "login");
    tally_event_int(event, "a", 1);
    tally_event_map(event, "m");
    tally_event_int(event, "a", 1);
    tally_event_end(event);
    must_encode();
    tally_event_map(event, "n");
    for (int i = 0; i < 20; i++)
        tally_event_int(event, (char[]){'k', (char)('a' + i), '\0'}, i);
    tally_event_end(event); /* moved its entries by two bytes: the keys after it are still found */
    tally_event_int(event, "after", 1);
    must_encode();
    tally_event_int(event, "after", 2);
    must_fail("'after' stands twice");
}

Test(event, holds_sixteen_levels_and_refuses_the_seventeenth)
{
    tally_event_begin(event, "login");
    for (int level = 2; level <= 16; level++)
        tally_event_map(event, "in");
    for (int level = 2; level <= 16; level++)
        tally_event_end(event);
    must_encode();
    tally_event_begin(event, "login");
    for (int level = 2; level <= 17; level++)
        tally_event_map(event, "in");
    must_fail("more than 16 levels");
}

Test(event, holds_exactly_the_limit_of_event_data_and_not_a_byte_more)
{
    for (size_t extra = 0; extra < 2; extra++) {
        tally_event_begin(event, "login");
        /* map header 1, key "t" 2, str16 header 3 (65,530 bytes need no str32) */
        tally_event_text(event, "t", repeat('x', 65536 - 6 + extra));
        if (extra == 0)
            must_encode();
        else
            must_fail("larger than 65536 bytes");
    }
    tally_event_begin(event, "login");
    tally_event_text(event, "t", repeat('x', 65537));
    must_fail("longer than event_data may be");
    for (size_t extra = 0; extra < 2; extra++) { /* the same with many small values, and a header of three bytes */
        tally_event_begin(event, "login");
        tally_event_array(event, "t");
        for (size_t i = 0; i < 65536 - 6 + extra; i++)
            tally_event_int(event, NULL, 0);
        tally_event_end(event);
        if (extra == 0)
            must_encode();
        else
            must_fail("larger than 65536 bytes");
    }
}

/* A random value of up to `depth` more levels, in the event and by msgpack-c. */
static void put_random(struct random *random, msgpack_packer *oracle, const char *key, unsigned depth)
{
    if (key != NULL)
        msgpack_pack_str_with_body(oracle, key, strlen(key));
    uint64_t bits = random_next(random) >> random_below(random, 64);
    unsigned kind = random_below(random, depth > 0 ? 9 : 7);
    double real = (double)(int64_t)bits / 7;
    char text[400];
    size_t length = random_below(random, sizeof text);
    switch (kind) {
    case 0:
        tally_event_int(event, key, (int64_t)bits);
        msgpack_pack_int64(oracle, (int64_t)bits);
        break;
    case 1:
        tally_event_int(event, key, -(int64_t)(bits >> 1));
        msgpack_pack_int64(oracle, -(int64_t)(bits >> 1));
        break;
    case 2:
        tally_event_uint(event, key, bits);
        msgpack_pack_uint64(oracle, bits);
        break;
    case 3:
        tally_event_number(event, key, real);
        msgpack_pack_double(oracle, real);
        break;
    case 4:
        tally_event_bool(event, key, bits & 1);
        bits & 1 ? msgpack_pack_true(oracle) : msgpack_pack_false(oracle);
        break;
    case 5:
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(1 + random_below(random, 127));
        tally_event_text_n(event, key, text, length);
        msgpack_pack_str_with_body(oracle, text, length);
        break;
    case 6:
        tally_event_bytes(event, key, &bits, bits % 9);
        msgpack_pack_bin_with_body(oracle, &bits, bits % 9);
        break;
    default: {
        size_t entries = random_below(random, 20);
        kind == 7 ? tally_event_map(event, key) : tally_event_array(event, key);
        kind == 7 ? msgpack_pack_map(oracle, entries) : msgpack_pack_array(oracle, entries);
        for (size_t i = 0; i < entries; i++)
            put_random(random, oracle, kind == 7 ? (char[]){'k', (char)('a' + i), '\0'} : NULL, depth - 1);
        tally_event_end(event);
    }
    }
}

Test(event, encodes_random_structures_to_the_bytes_of_msgpack_c)
{
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct random random = random_stream(seed, 0);
        msgpack_sbuffer buffer;
        msgpack_packer oracle;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&oracle, &buffer, msgpack_sbuffer_write);
        tally_event_begin(event, "x");
        put_random(&random, &oracle, "root", 3);
        if (event->end - EVENT_HEAD_BYTES < WIRE_DATA_BYTES) {
            cr_assert_eq(event->error.code, TALLY_OK, "seed %llu: %s", (unsigned long long)seed, event->error.text);
            cr_assert_eq(event->end - EVENT_HEAD_BYTES, buffer.size, "seed %llu", (unsigned long long)seed);
            cr_assert_arr_eq(event->bytes + EVENT_HEAD_BYTES, buffer.data, buffer.size, "seed %llu", (unsigned long long)seed);
        }
        msgpack_sbuffer_destroy(&buffer);
    }
}

static void check_timestamp(int64_t wall_us)
{
    tally_event_begin(event, "x");
    tally_event_time(event, "t", wall_us);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t at = 2; /* behind the key */
    const char *bytes = (const char *)event->bytes + EVENT_HEAD_BYTES;
    cr_assert_eq(msgpack_unpack_next(&unpacked, bytes, event->end - EVENT_HEAD_BYTES, &at), MSGPACK_UNPACK_SUCCESS);
    msgpack_timestamp time;
    cr_assert(msgpack_object_to_timestamp(&unpacked.data, &time));
    cr_assert(time.tv_nsec < 1000000000);
    cr_assert_eq(time.tv_sec * 1000000 + time.tv_nsec / 1000, wall_us);
    cr_assert_eq(at, event->end - EVENT_HEAD_BYTES);
    msgpack_unpacked_destroy(&unpacked);
}

Test(event, times_read_back_in_all_three_forms_of_the_timestamp)
{
    static const int64_t times[] = {0,
                                    1,
                                    -1,
                                    1768469400000000,
                                    1768469400250000,
                                    4294967295000000,
                                    4294967296000000,
                                    17179869183999999,
                                    17179869184000000,
                                    -62135596800000000};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        check_timestamp(times[i]);
}
