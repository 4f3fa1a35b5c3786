/* Session texts as keys: what is one session and what is not. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/identity.h"
#include "common/error.h"
#include "common/uuid.h"

static struct identity identity;

static void init(void)
{
    struct error err = {0};
    cr_assert(identity_init(&identity, &err));
}

TestSuite(identity, .init = init);

static bool is_same(const char *a, const char *b)
{
    uint64_t first[2], second[2];
    identity_of_text(&identity, a, strlen(a), first);
    identity_of_text(&identity, b, strlen(b), second);
    return memcmp(first, second, sizeof first) == 0;
}

Test(identity, of_a_canonical_uuid_is_its_bytes)
{
    const char *text = "0198f3a2-7c41-7def-8123-456789abcdef";
    uint8_t bytes[UUID_BYTES];
    uint64_t key[2];
    cr_assert(uuid_parse(text, strlen(text), bytes));
    identity_of_text(&identity, text, strlen(text), key);
    cr_expect_arr_eq(key, bytes, UUID_BYTES);
}

Test(identity, tells_spellings_of_one_uuid_apart_as_the_column_does)
{
    cr_expect_not(is_same("0198f3a2-7c41-7def-8123-456789abcdef", "0198F3A2-7C41-7DEF-8123-456789ABCDEF"));
    cr_expect_not(is_same("0198f3a2-7c41-7def-8123-456789abcdef", "0198f3a2-7c41-7def-8123-456789abcdeF"));
    cr_expect_not(is_same("0198f3a2-7c41-7def-8123-456789abcdef", "0198f3a27c417def8123456789abcdef"));
    cr_expect(is_same("0198f3a2-7c41-7def-8123-456789abcdef", "0198f3a2-7c41-7def-8123-456789abcdef"));
}

Test(identity, differs_for_each_single_changed_byte)
{
    const char *text = "0198f3a2-7c41-7def-8123-456789abcdef";
    for (size_t i = 0; i < strlen(text); i++) {
        char changed[64];
        for (int byte = 1; byte < 256; byte++) {
            snprintf(changed, sizeof changed, "%s", text);
            changed[i] = (char)byte;
            if (changed[i] != text[i])
                cr_expect_not(is_same(text, changed), "byte %d at %zu", byte, i);
        }
    }
}

Test(identity, of_other_text_is_equal_for_equal_bytes_only)
{
    cr_expect(is_same("", ""));
    cr_expect(is_same("session-1", "session-1"));
    cr_expect_not(is_same("session-1", "session-2"));
    cr_expect_not(is_same("", " "));
    cr_expect_not(is_same("t\xc3\xa4glich", "ta\xcc\x88glich"));
}

Test(identity, of_other_text_depends_on_the_secret)
{
    struct identity another;
    struct error err = {0};
    uint64_t first[2], second[2];
    cr_assert(identity_init(&another, &err));
    identity_of_text(&identity, "session-1", 9, first);
    identity_of_text(&another, "session-1", 9, second);
    cr_expect_arr_neq(first, second, sizeof first);
}
