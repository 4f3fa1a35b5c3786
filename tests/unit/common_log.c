/* Log lines: one line a fact, whatever the input held. */
#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common_log_captured.h"

static bool matches(const char *text, const char *pattern)
{
    regex_t regex;
    cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

Test(log, writes_logfmt_with_time_and_level, .init = log_captured_begin)
{
    log_info("batch committed", "topic=%s topic_partition=%d rows=%d", "analytics-events", 3, 5000);
    cr_expect(matches(log_captured(), "^ts=20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z level=info "
                                      "msg=\"batch committed\" topic=analytics-events topic_partition=3 rows=5000\n$"),
              "%s", log_captured());
}

Test(log, needs_no_fields, .init = log_captured_begin)
{
    log_warn("stopping", NULL);
    cr_expect(matches(log_captured(), " level=warn msg=\"stopping\"\n$"));
}

Test(log, drops_what_is_below_the_level, .init = log_captured_begin)
{
    log_debug("a", NULL);
    log_set_level(LOG_LEVEL_ERROR);
    log_warn("b", NULL);
    cr_expect_str_eq(log_captured(), "");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("c", NULL);
    cr_expect(matches(log_captured(), "level=debug msg=\"c\""));
}

Test(log, puts_the_error_behind_the_fields, .init = log_captured_begin)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "relation \"x\" is locked");
    strcpy(err.sqlstate, "55P03");
    log_error_because(&err, "batch failed", "rows=%d", 7);
    cr_expect(matches(log_captured(),
                      "level=error msg=\"batch failed\" rows=7 error=\"relation \\\\\"x\\\\\" is locked\" sqlstate=55P03\n$"),
              "%s", log_captured());
}

Test(log, has_no_sqlstate_where_postgres_said_none, .init = log_captured_begin)
{
    struct error err;
    error_set(&err, ERROR_RETRY, "gone");
    log_warn_because(&err, "lost", NULL);
    cr_expect(matches(log_captured(), "msg=\"lost\" error=\"gone\"\n$"), "%s", log_captured());
}

Test(log, keeps_a_line_one_line_whatever_a_field_holds, .init = log_captured_begin)
{
    log_info("x", "value=%s", "a\nb\rc\td\x1b[31m\x7f\xC2\x85\xE2\x80\xA8\xE2\x80\xA9");
    cr_expect(
        matches(log_captured(),
                "value=a\\\\x0ab\\\\x0dc\\\\x09d\\\\x1b\\[31m\\\\x7f\\\\xc2\\\\x85\\\\xe2\\\\x80\\\\xa8\\\\xe2\\\\x80\\\\xa9\n$"),
        "%s", log_captured());
}

Test(log, is_one_whole_line_however_long_its_fields, .init = log_captured_begin)
{
    char *field = malloc(20001);
    memset(field, 'y', 20000);
    field[20000] = '\0';
    log_info("x", "value=%s", field);
    free(field);
    const char *text = log_captured();
    cr_expect(strlen(text) > 4000 && strlen(text) <= 4096, "%zu bytes", strlen(text)); /* PIPE_BUF: up to there a write is atomic */
    cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1);
}

Test(log, leaves_time_and_level_to_the_journal, .init = log_captured_begin)
{
    struct stat status;
    cr_assert_eq(fstat(STDERR_FILENO, &status), 0);
    char stream[64];
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_error("x", "n=1");
    cr_expect_str_eq(log_captured(), "<3>msg=\"x\" n=1\n");
}

Test(log, is_not_fooled_by_the_journal_of_another_stream, .init = log_captured_begin)
{
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_error("x", NULL);
    cr_expect(matches(log_captured(), "^ts=.* level=error msg=\"x\"\n$"));
}

Test(log_text, escapes_quotes_and_backslashes)
{
    char buffer[LOG_TEXT_BYTES];
    cr_expect_str_eq(log_text(buffer, "say \"hi\" C:\\x"), "say \\\"hi\\\" C:\\\\x");
}

Test(log_text, leaves_well_formed_utf8_alone)
{
    char buffer[LOG_TEXT_BYTES];
    cr_expect_str_eq(log_text(buffer, "größe 漢字 👩‍💻 \xEF\xBB\xBF"), "größe 漢字 👩‍💻 \xEF\xBB\xBF");
}

Test(log_text, escapes_every_kind_of_bad_utf8)
{
    static const char *const cases[][2] = {
        {"\xC3\x28", "\\xc3("},                       /* no continuation */
        {"\xC0\x80", "\\xc0\\x80"},                   /* overlong */
        {"\xE0\x80\x80", "\\xe0\\x80\\x80"},          /* overlong */
        {"\xED\xA0\x80", "\\xed\\xa0\\x80"},          /* surrogate */
        {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
        {"\xFF", "\\xff"},
        {"\xE2\x82", "\\xe2\\x82"}, /* cut */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char buffer[LOG_TEXT_BYTES];
        cr_expect_str_eq(log_text(buffer, cases[i][0]), cases[i][1]);
    }
}

Test(log_text, is_cut_before_an_escape_that_does_not_fit)
{
    char text[2 * LOG_TEXT_BYTES], buffer[LOG_TEXT_BYTES];
    memset(text, '\n', sizeof text);
    text[sizeof text - 1] = '\0';
    log_text(buffer, text);
    cr_expect_eq(strlen(buffer) % 4, 0u);
    cr_expect_lt(strlen(buffer), (size_t)LOG_TEXT_BYTES);
    cr_expect_str_eq(buffer + strlen(buffer) - 4, "\\x0a");
}

Test(log_level, is_read_by_name)
{
    enum log_level level = LOG_LEVEL_INFO;
    cr_expect(log_level_parse("debug", &level) && level == LOG_LEVEL_DEBUG);
    cr_expect(log_level_parse("error", &level) && level == LOG_LEVEL_ERROR);
    cr_expect_not(log_level_parse("ERROR", &level));
    cr_expect_not(log_level_parse("", &level));
    cr_expect_eq(level, LOG_LEVEL_ERROR);
}
