/* Deltas: what goes in comes out; what does not fit is said; what is damaged is never more than an error. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "common/delta.h"
#include "common/error.h"
#include "common/uuid.h"

static struct delta delta;
static struct error err;

static void init(void)
{
    cr_assert(delta_init(&delta, 1000, &err));
}

static void fini(void)
{
    delta_free(&delta);
}

TestSuite(delta, .init = init, .fini = fini);

static struct delta_event event_of(int32_t day, const char *name, const char *session)
{
    return (struct delta_event){.day = day,
                                .name = name,
                                .name_length = (uint32_t)strlen(name),
                                .session = session,
                                .session_length = session ? (uint32_t)strlen(session) : 0};
}

static void open_reader(struct delta_reader *reader)
{
    size_t length;
    const uint8_t *bytes = delta_finish(&delta, &length);
    cr_assert_not_null(bytes);
    cr_assert(delta_open(reader, bytes, length));
}

static void expect_text(const char *bytes, uint32_t length, const char *text)
{
    cr_expect_eq(length, strlen(text));
    cr_expect_arr_eq(bytes, text, strlen(text));
}

Test(delta, that_is_empty_has_no_rows)
{
    struct delta_reader reader;
    struct delta_event event;
    open_reader(&reader);
    cr_expect_eq(reader.rows, 0);
    cr_expect_eq(delta_next(&reader, &event), DELTA_END);
}

Test(delta, gives_back_what_was_added)
{
    static const char uuid_text[] = "0198f3a2-7c41-7def-8123-456789abcdef";
    uint8_t id[UUID_BYTES];
    struct delta_reader reader;
    struct delta_event event;
    struct delta_event first = event_of(20000, "login", uuid_text), second = event_of(-1, "page_view", "a session"),
                       third = event_of(20000, "login", NULL);
    third.has_user = true;
    third.user = UINT64_C(0x0123456789abcdef);
    delta_add(&delta, &first);
    delta_add_internal(&delta);
    delta_add(&delta, &second);
    delta_add(&delta, &third);
    open_reader(&reader);
    cr_expect_eq(reader.rows, 4);

    cr_assert_eq(delta_next(&reader, &event), DELTA_EVENT);
    cr_assert(uuid_parse(uuid_text, 36, id));
    cr_expect(event.is_uuid && event.day == 20000 && !event.has_user);
    cr_expect_arr_eq(event.session, id, UUID_BYTES);
    expect_text(event.name, event.name_length, "login");

    cr_assert_eq(delta_next(&reader, &event), DELTA_EVENT);
    cr_expect(!event.is_uuid && event.day == -1 && event.name_number == 1);
    expect_text(event.session, event.session_length, "a session");
    expect_text(event.name, event.name_length, "page_view");

    cr_assert_eq(delta_next(&reader, &event), DELTA_EVENT);
    cr_expect(event.day == 20000 && event.name_number == 0 && event.has_user);
    cr_expect_null(event.session);
    cr_expect_eq(event.user, third.user);
    cr_expect_eq(delta_next(&reader, &event), DELTA_END);
}

Test(delta, keeps_an_upper_case_uuid_as_text)
{
    struct delta_reader reader;
    struct delta_event event, upper = event_of(1, "login", "0198F3A2-7C41-7DEF-8123-456789ABCDEF");
    delta_add(&delta, &upper);
    open_reader(&reader);
    cr_assert_eq(delta_next(&reader, &event), DELTA_EVENT);
    cr_expect_not(event.is_uuid);
    cr_expect_eq(event.session_length, 36);
}

Test(delta, with_as_many_names_and_days_as_fit_is_whole_and_with_one_more_unfit)
{
    size_t length;
    char name[16];
    for (int i = 0; i < DELTA_NAMES; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        struct delta_event event = event_of(i, name, NULL);
        delta_add(&delta, &event);
        delta_add(&delta, &event);
    }
    struct delta_reader reader;
    struct delta_event event;
    open_reader(&reader);
    for (int i = 0; i < 2 * DELTA_NAMES; i++) {
        cr_assert_eq(delta_next(&reader, &event), DELTA_EVENT);
        snprintf(name, sizeof name, "name-%d", i / 2);
        expect_text(event.name, event.name_length, name);
        cr_expect_eq(event.day, i / 2);
    }
    struct delta_event one_more = event_of(0, "another", NULL);
    delta_add(&delta, &one_more);
    cr_expect_null(delta_finish(&delta, &length));
    delta_reset(&delta);
    delta_add(&delta, &one_more);
    cr_expect_not_null(delta_finish(&delta, &length));
}

Test(delta, of_long_sessions_stays_within_its_room)
{
    char session[256];
    size_t length;
    memset(session, 'x', sizeof session - 1);
    session[sizeof session - 1] = '\0';
    struct delta_event event = event_of(0, "login", session);
    for (int i = 0; i < 1000; i++)
        delta_add(&delta, &event);
    cr_expect_eq(delta.rows, 1000);
    cr_expect_null(delta_finish(&delta, &length));
    cr_expect_leq(delta.used, delta.capacity);
}

/* Reads a copy of its own, so that a sanitizer sees a step beyond its end. Returns the events, -1: damaged. */
static int read_all(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    struct delta_reader reader;
    struct delta_event event;
    int events = 0, text = 0;
    enum delta_outcome outcome = DELTA_DAMAGED;
    memcpy(copy, bytes, length);
    if (delta_open(&reader, copy, length))
        while ((outcome = delta_next(&reader, &event)) == DELTA_EVENT) {
            events++;
            for (uint32_t i = 0; i < event.name_length; i++)
                text += event.name[i];
            for (uint32_t i = 0; event.session && i < event.session_length; i++)
                text += event.session[i];
        }
    free(copy);
    return outcome == DELTA_END && text >= -1000000 ? events : -1;
}

/* Two entries with all that an entry may hold. */
static void add_pair(void)
{
    struct delta_event first = event_of(20000, "login", "0198f3a2-7c41-7def-8123-456789abcdef");
    struct delta_event second = event_of(20001, "logout", "s");
    second.has_user = true;
    delta_add(&delta, &first);
    delta_add(&delta, &second);
}

/* Makes the hash right again, as somebody would who means harm. */
static void sign(uint8_t *bytes, size_t length)
{
    const uint64_t check = __builtin_bswap64(XXH3_64bits(bytes, length - 8));
    memcpy(bytes + length - 8, &check, sizeof check);
}

Test(delta, of_anything_under_a_right_hash_is_never_read_beyond_its_end)
{
    add_pair();
    size_t length;
    const uint8_t *bytes = delta_finish(&delta, &length);
    uint8_t changed[512];
    cr_assert(bytes && length < sizeof changed);
    for (size_t cut = 8; cut < length; cut++) {
        memcpy(changed, bytes, cut);
        sign(changed, cut);
        cr_expect_eq(read_all(changed, cut), -1);
    }
    for (size_t bit = 0; bit < (length - 8) * 8; bit++) {
        memcpy(changed, bytes, length);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        sign(changed, length);
        cr_expect_leq(read_all(changed, length), 2);
    }
}

Test(delta, with_a_name_that_is_not_ascii_is_unfit)
{
    size_t length;
    struct delta_event event = event_of(1, "l\xc3\xb6schen", NULL);
    delta_add(&delta, &event);
    cr_expect_null(delta_finish(&delta, &length));
}

Test(delta, cut_or_with_a_flipped_bit_is_damaged)
{
    for (int i = 0; i < 3; i++)
        add_pair();
    size_t length;
    const uint8_t *bytes = delta_finish(&delta, &length);
    uint8_t changed[512];
    cr_assert(bytes && length < sizeof changed);
    cr_expect_eq(read_all(bytes, length), 6);
    for (size_t cut = 0; cut < length; cut++)
        cr_expect_eq(read_all(bytes, cut), -1);
    for (size_t bit = 0; bit < length * 8; bit++) {
        memcpy(changed, bytes, length);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_expect_eq(read_all(changed, length), -1);
    }
}
