/* UUIDs: version 7 in order, text both ways. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/uuid.h"

static const int64_t wall_us = INT64_C(1764000000123456);

static int64_t ms_of(const uint8_t id[UUID_BYTES])
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms;
}

static bool is_v7(const uint8_t id[UUID_BYTES])
{
    return id[6] >> 4 == 7 && id[8] >> 6 == 2;
}

Test(uuid, of_version_7_begins_with_the_milliseconds)
{
    uint8_t id[UUID_BYTES];
    uuid_make_v7(id, wall_us);
    cr_expect_eq(ms_of(id), wall_us / 1000);
    cr_expect(is_v7(id));
}

Test(uuid, increases_within_one_millisecond)
{
    uint8_t before[UUID_BYTES], id[UUID_BYTES];
    uuid_make_v7(before, wall_us);
    int wrong = 0;
    for (int i = 0; i < 20000; i++) { /* several times what the counter holds */
        uuid_make_v7(id, wall_us);
        wrong += memcmp(before, id, UUID_BYTES) >= 0 || !is_v7(id);
        memcpy(before, id, UUID_BYTES);
    }
    cr_expect_eq(wrong, 0);
    cr_expect_leq(ms_of(id) - wall_us / 1000, 20000 / 2048);
}

Test(uuid, increases_when_the_clock_steps_back_a_little)
{
    uint8_t before[UUID_BYTES], id[UUID_BYTES];
    uuid_make_v7(before, wall_us);
    uuid_make_v7(id, wall_us - 3000000);
    cr_expect_lt(memcmp(before, id, UUID_BYTES), 0);
}

Test(uuid, follows_the_clock_when_it_steps_back_far)
{
    uint8_t id[UUID_BYTES];
    uuid_make_v7(id, wall_us);
    uuid_make_v7(id, wall_us - INT64_C(3600000000));
    cr_expect_eq(ms_of(id), wall_us / 1000 - 3600000);
}

Test(uuid, keeps_times_outside_of_48_bits_inside)
{
    uint8_t id[UUID_BYTES];
    uuid_make_v7(id, -1);
    cr_expect(is_v7(id));
    cr_expect_eq(ms_of(id), 0);
    uuid_make_v7(id, INT64_MAX);
    cr_expect(is_v7(id));
    cr_expect_eq(ms_of(id), INT64_MAX / 1000 < (INT64_C(1) << 48) - 1 ? INT64_MAX / 1000 : (INT64_C(1) << 48) - 1);
}

static void *make_one(void *id)
{
    uuid_make_v7(id, wall_us);
    return NULL;
}

Test(uuid, differs_between_threads)
{
    uint8_t ids[2][UUID_BYTES];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, make_one, ids[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    cr_expect_neq(memcmp(ids[0] + 8, ids[1] + 8, 8), 0);
}

Test(uuid, differs_between_a_process_and_its_child)
{
    uint8_t warm[UUID_BYTES], parent[UUID_BYTES], child[UUID_BYTES];
    uuid_make_v7(warm, wall_us); /* seeded before the fork */
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        uuid_make_v7(child, wall_us);
        _exit(write(ends[1], child, UUID_BYTES) == UUID_BYTES ? 0 : 1);
    }
    uuid_make_v7(parent, wall_us);
    cr_assert_eq(read(ends[0], child, UUID_BYTES), UUID_BYTES);
    waitpid(pid, NULL, 0);
    cr_expect_neq(memcmp(parent + 8, child + 8, 8), 0);
}

Test(uuid, from_given_random_bits_is_always_the_same)
{
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT_BYTES];
    uuid_make_v7_from(id, INT64_C(1645557742000000), 0xCC3, UINT64_C(0x18C4DC0C0C07398F)); /* RFC 9562, appendix A.6 */
    cr_expect_str_eq(uuid_format(text, id), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    uuid_make_v7_from(id, 0, UINT64_MAX, UINT64_MAX);
    cr_expect_str_eq(uuid_format(text, id), "00000000-0000-7fff-bfff-ffffffffffff");
}

Test(uuid, is_read_in_either_case_and_written_in_lower)
{
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT_BYTES];
    cr_assert(uuid_parse("017F22E2-79b0-7Cc3-98C4-dc0C0C07398f", 36, id));
    cr_expect_eq(id[0], 0x01);
    cr_expect_eq(id[15], 0x8f);
    cr_expect_str_eq(uuid_format(text, id), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

Test(uuid, is_nothing_else_than_36_bytes_of_hex_and_dashes)
{
    static const char *const bad[] = {"",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
                                      "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}",
                                      "017f22e279b0-7cc3-98c4-dc0c0c07398f-",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
                                      "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
                                      "017f22e2-79b0-7cc3-98c4-dc0c0c0739\xC3\xA9",
                                      " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f"};
    uint8_t id[UUID_BYTES] = {42};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_not(uuid_parse(bad[i], strlen(bad[i]), id), "%s", bad[i]);
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        text[0] = (char)byte;
        bool is_hex = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
        uint8_t other[UUID_BYTES];
        cr_expect_eq(uuid_parse(text, 36, other), is_hex, "%d", byte);
    }
    cr_expect_eq(id[0], 42, "a refused text changes nothing");
}

Test(uuid, canonical_is_what_is_written_and_nothing_else)
{
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT_BYTES], changed[UUID_TEXT_BYTES];
    uuid_make_v7(id, INT64_C(1767225600000000));
    uuid_format(text, id);
    uint8_t read[UUID_BYTES];
    cr_assert(uuid_read_canonical(text, 36, read));
    cr_expect_arr_eq(read, id, UUID_BYTES);
    cr_expect_not(uuid_read_canonical(text, 35, read));
    cr_expect_not(uuid_read_canonical("017F22E2-79b0-7cc3-98c4-dc0c0c07398f", 36, read));
    for (int i = 0; i < 36; i++) {
        memcpy(changed, text, sizeof changed);
        const bool is_dash = text[i] == '-';
        for (int byte = 0; byte < 256; byte++) {
            changed[i] = (char)byte;
            const bool is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
            cr_expect_eq(uuid_read_canonical(changed, 36, read), is_dash ? byte == '-' : is_digit, "%d at %d", byte, i);
            uint8_t parsed[UUID_BYTES];
            if (!is_dash && is_digit && uuid_parse(changed, 36, parsed))
                cr_expect_arr_eq(read, parsed, UUID_BYTES, "%d at %d", byte, i);
        }
    }
}
