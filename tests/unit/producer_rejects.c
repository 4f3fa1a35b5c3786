/* producer_rejects.c - rejects.c: each rejected line is one readable line of the file, whatever it held. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/error.h"
#include "producer/import/rejects.h"

Test(rejects, are_kept_as_json_lines_with_file_line_reason_and_text, .init = cr_redirect_stderr)
{
    char path[] = "/tmp/tallymill-rejects-XXXXXX";
    close(mkstemp(path));
    struct error err;
    struct rejects *rejects = rejects_open("tallymill-produce", path, 0, 0, &err);
    cr_assert_not_null(rejects);
    rejects_add(rejects, "in.ndjson", 3, "no JSON", "{\"a\n\"", 5);
    rejects_add(rejects, "in.ndjson", 4, "no JSON", "\xff\xfe\xfd!", 4);
    rejects_add(rejects, "in.ndjson", 5, "too long", NULL, 0);
    cr_assert_eq(rejects_count(rejects), 3);
    cr_assert(rejects_close(rejects, &err), "%s", err.text);

    static const char *const expected[] = {
        "{\"file\":\"in.ndjson\",\"line\":3,\"reason\":\"no JSON\",\"text\":\"{\\\"a\\n\\\"\"}\n",
        "{\"file\":\"in.ndjson\",\"line\":4,\"reason\":\"no JSON\",\"base64\":\"//79IQ==\"}\n",
        "{\"file\":\"in.ndjson\",\"line\":5,\"reason\":\"too long\"}\n"};
    FILE *file = fopen(path, "r");
    char line[256];
    for (size_t i = 0; i < 3; i++) {
        cr_assert_not_null(fgets(line, sizeof line, file));
        cr_assert_str_eq(line, expected[i]);
    }
    cr_assert_null(fgets(line, sizeof line, file));
    fclose(file);
    unlink(path);
}

Test(rejects, say_when_their_file_could_not_be_written, .init = cr_redirect_stderr)
{
    struct error err;
    cr_assert_null(rejects_open("tallymill-produce", "/nonexistent/file", 0, 0, &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
    struct rejects *rejects = rejects_open("tallymill-produce", "/dev/full", 0, 0, &err);
    cr_assert_not_null(rejects);
    rejects_add(rejects, "x", 1, "bad", "x", 1);
    cr_assert(!rejects_close(rejects, &err));
    cr_assert_eq(err.kind, ERROR_RETRY);
}

Test(rejects, go_on_where_an_interrupted_run_was_saved, .init = cr_redirect_stderr)
{
    char path[] = "/tmp/tallymill-rejects-XXXXXX";
    close(mkstemp(path));
    struct error err;
    struct rejects *rejects = rejects_open("tallymill-produce", path, 0, 0, &err);
    int64_t saved;
    rejects_add(rejects, "f", 1, "a", NULL, 0);
    cr_assert(rejects_flush(rejects, &saved, &err));
    rejects_add(rejects, "f", 2, "b", NULL, 0); /* behind what was saved: told again */
    cr_assert(rejects_close(rejects, &err));
    rejects = rejects_open("tallymill-produce", path, 1, saved, &err);
    rejects_add(rejects, "f", 2, "b", NULL, 0);
    cr_assert_eq(rejects_count(rejects), 2);
    cr_assert(rejects_close(rejects, &err));
    char text[256] = "";
    FILE *file = fopen(path, "r");
    cr_assert_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    cr_assert_str_eq(text, "{\"file\":\"f\",\"line\":1,\"reason\":\"a\"}\n{\"file\":\"f\",\"line\":2,\"reason\":\"b\"}\n");
    unlink(path);
}
