/* erase_subject.c: whose a dead letter is, as far as it can be read. */
#include <criterion/criterion.h>
#include <string.h>

#include "operator/erase_subject.h"

static struct erase_subject subject;

static void fill(void)
{
    struct error err = {0};
    subject = (struct erase_subject){0};
    cr_assert(erase_subject_add_user(&subject, "9223372036854775807", &err) && erase_subject_add_user(&subject, "7", &err) &&
              erase_subject_add_user(&subject, "7", &err));
    cr_assert(erase_subject_add_session(&subject, "s-7", &err) && erase_subject_add_session(&subject, "say \"so\" \\", &err));
    cr_assert(erase_subject_end(&subject, &err));
}

static void empty(void)
{
    erase_subject_reset(&subject);
}

static enum erase_letter look(const char *key, const char *value, size_t length)
{
    return erase_subject_look(&subject, (const uint8_t *)key, key ? strlen(key) : 0, (const uint8_t *)value, length);
}

#define LOOK(key, value) look(key, value, sizeof value - 1)

Test(erase_subject, is_two_arrays_of_postgres, .init = fill, .fini = empty)
{
    cr_expect_str_eq(subject.user_array, "{7,9223372036854775807}");
    cr_expect_str_eq(subject.session_array, "{\"s-7\",\"say \\\"so\\\" \\\\\"}");
}

Test(erase_subject, finds_a_dead_letter_by_its_key_or_by_what_it_says, .init = fill, .fini = empty)
{
    cr_expect_eq(look("s-7", NULL, 0), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\x07"), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\xa1"
                            "7"),
                 LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\xcb\x40\x1c\x00\x00\x00\x00\x00\x00"), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x82\xa1"
                            "a\x91\x01\xaasession_id\xa3s-7"),
                 LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "\x83\xa7user_id\x07\xc1"), LETTER_THEIRS, "before it breaks");
    cr_expect_eq(LOOK(NULL, "{\"user_id\": 7}"), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "{\"user_id\": \"7\"}"), LETTER_THEIRS);
    cr_expect_eq(LOOK(NULL, "{\"session_id\": \"s-7\"}"), LETTER_THEIRS);
}

Test(erase_subject, leaves_those_of_others, .init = fill, .fini = empty)
{
    cr_expect_eq(look("s-8", NULL, 0), LETTER_OF_OTHERS);
    cr_expect_eq(look(NULL, NULL, 0), LETTER_OF_OTHERS);
    cr_expect_eq(LOOK("s-77", "\x81\xa7user_id\x08"), LETTER_OF_OTHERS);
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\xa2"
                            "07"),
                 LETTER_THEIRS, "007 is 7");
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\xa0"), LETTER_OF_OTHERS);
    cr_expect_eq(LOOK(NULL, "\x81\xa1u\x07"), LETTER_OF_OTHERS);
    cr_expect_eq(LOOK(NULL, "\x81\xa9user_data\x81\xa7user_id\x07"), LETTER_OF_OTHERS, "inside an attribute it is an attribute");
    cr_expect_eq(LOOK(NULL, "{\"user_id\": 70}"), LETTER_OF_OTHERS);
}

Test(erase_subject, says_what_cannot_be_read, .init = fill, .fini = empty)
{
    cr_expect_eq(LOOK(NULL, "\xc1 7"), LETTER_UNREAD);
    cr_expect_eq(LOOK(NULL, "\xc1 s-7"), LETTER_PERHAPS);
    cr_expect_eq(LOOK(NULL, "\x82\xa1"
                            "a\x01"),
                 LETTER_UNREAD, "cut off");
    cr_expect_eq(LOOK(NULL, "\x81\xa7user_id\x08s-7"), LETTER_PERHAPS, "something stands behind the map");
    cr_expect_eq(LOOK(NULL, "\x81\x91\x01\x07"), LETTER_UNREAD, "a key that is none");
}

Test(erase_subject, refuses_what_is_no_user)
{
    struct erase_subject none = {0};
    struct error err = {0};
    static const char *const wrong[] = {"", "-1", "seven", "7.0", "9223372036854775808", " 7", "0x7"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(erase_subject_add_user(&none, wrong[i], &err), "%s", wrong[i]);
    cr_expect_not(erase_subject_add_session(&none, "", &err));
    erase_subject_reset(&none);
}
