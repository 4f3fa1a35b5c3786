/* The INI file: its lines, whatever they hold. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "common/settings.h"
#include "common_log_captured.h"
#include "common_temporary.h"

static struct settings *load(const char *text)
{
    struct error err = {0};
    struct settings *settings = settings_load(temporary_text(text), NULL, 0, &err);
    cr_assert_not_null(settings, "%s", err.text);
    return settings;
}

static void expect_refused(const char *path, const char *said)
{
    struct error err = {0};
    cr_assert_null(settings_load(path, NULL, 0, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:%s", path, said);
    cr_expect_str_eq(err.text, wanted);
}

Test(settings_file, takes_a_line_of_2000_bytes)
{
    char text[3000] = "[postgres]\ndsn = host=";
    size_t begin = strlen(text);
    for (int i = 0; i < 90; i++)
        strcat(text, "db-with-a-long-name-01,");
    strcat(text, "db dbname=last\n[topics]\nevents = after\n");
    cr_assert_gt(strlen(text), 2000u);
    struct settings *settings = load(text);
    const char *dsn = settings_text(settings, "postgres.dsn");
    cr_expect_eq(strncmp(dsn + 5, text + begin, strlen(dsn) - 5), 0);
    cr_expect_str_eq(dsn + strlen(dsn) - 11, "dbname=last");
    cr_expect_str_eq(settings_text(settings, "topics.events"), "after");
    settings_free(settings);
}

Test(settings_file, keeps_hash_and_semicolon_in_a_value)
{
    struct settings *settings = load("[postgres]\ndsn = host=h password=a;b#c';d'\n");
    cr_expect_str_eq(settings_text(settings, "postgres.dsn"), "host=h password=a;b#c';d'");
    settings_free(settings);
}

Test(settings_file, warns_where_a_comment_was_probably_meant)
{
    log_captured_begin();
    settings_free(load("[topics]\nevents = a#b;c\n[consumer]\ngroup = g ; the group\n"));
    const char *text = log_captured();
    cr_expect_not_null(
        strstr(text, "level=warn msg=\"what follows # or ; belongs to the value: comments stand on lines of their own\" "));
    cr_expect_not_null(strstr(text, "line=4 key=\"consumer.group\"\n"));
    cr_expect_null(strstr(text, "line=2"));
}

Test(settings_file, knows_comments_blank_lines_crlf_and_a_byte_order_mark)
{
    struct settings *settings = load(
        "\xEF\xBB\xBF# comment = 1\r\n\r\n  ; another\r\n [ topics ] # behind a section it may stand\r\n\tevents\t=\t x y \t\r\n"
        "[consumer]\ngroup=last-line-without-newline");
    cr_expect_str_eq(settings_text(settings, "topics.events"), "x y");
    cr_expect_str_eq(settings_text(settings, "consumer.group"), "last-line-without-newline");
    settings_free(settings);
}

Test(settings_file, takes_whole_keys_above_the_first_section)
{
    struct settings *settings = load("topics.events = x\nkafka.bootstrap.servers = a:1\n");
    cr_expect_str_eq(settings_text(settings, "topics.events"), "x");
    settings_free(settings);
}

Test(settings_file, may_be_empty)
{
    settings_free(load(""));
}

Test(settings_file, names_the_line_that_is_none)
{
    expect_refused(temporary_text("[topics]\nevents x\n"),
                   "2: no \"=\" here; a line is KEY = VALUE, [SECTION] or # COMMENT, and a value is one line");
    expect_refused(temporary_text("[topics\nevents = x\n"), "1: a section is written [NAME]");
    expect_refused(temporary_text("[topics] x\n"), "1: a section is written [NAME]");
    expect_refused(temporary_text("\n\n = x\n"), "3: no key before the \"=\"");
}

Test(settings_file, refuses_a_key_or_section_without_end)
{
    char text[2000];
    memset(text, 'k', sizeof text);
    strcpy(text + 1000, "=1\n");
    expect_refused(temporary_text(text), "1: the key is too long");
    text[0] = '[';
    strcpy(text + 1000, "]\n");
    expect_refused(temporary_text(text), "1: the section's name is too long");
}

Test(settings_file, that_cannot_be_read_is_named)
{
    expect_refused("/nonexistent/tallymill.ini", " cannot open: No such file or directory");
    expect_refused("/tmp", " cannot read: Is a directory");
}

Test(settings_file, refuses_nul_bytes_and_more_than_a_mebibyte)
{
    static const char nul[] = "[topics]\nevents = a\0b\n";
    expect_refused(temporary_bytes(nul, sizeof nul - 1), " holds a NUL byte; it must be text");
    char *large = malloc(1024 * 1024 + 1);
    memset(large, '\n', 1024 * 1024 + 1);
    expect_refused(temporary_bytes(large, 1024 * 1024 + 1), " larger than 1048576 bytes");
    free(large);
}
