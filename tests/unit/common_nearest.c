/* The word that somebody probably meant. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/nearest.h"

static const char *const words[] = {"status", "audit", "verify", "migrate", "window.oldest"};

static const char *nearest(const char *word)
{
    return nearest_word(word, words, sizeof words / sizeof words[0]);
}

Test(nearest, word_is_found_through_a_missing_extra_wrong_or_swapped_letter)
{
    cr_expect_str_eq(nearest("statu"), "status");
    cr_expect_str_eq(nearest("statuss"), "status");
    cr_expect_str_eq(nearest("stadus"), "status");
    cr_expect_str_eq(nearest("migrtae"), "migrate");
    cr_expect_str_eq(nearest("windw.oldes"), "window.oldest");
    cr_expect_str_eq(nearest("audit"), "audit");
}

Test(nearest, word_is_none_when_nothing_is_near)
{
    cr_expect_null(nearest("replicate"));
    cr_expect_null(nearest(""));
    cr_expect_null(nearest("x"));
    cr_expect_null(nearest_word("status", words, 0));
}

Test(nearest, word_bears_words_of_any_length)
{
    char word[5000];
    memset(word, 's', sizeof word);
    word[sizeof word - 1] = '\0';
    cr_expect_null(nearest(word));
    const char *const longest[] = {word};
    cr_expect_null(nearest_word("status", longest, 1));
}
