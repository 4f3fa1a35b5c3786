/* producer_resume.c - resume.c, line_id.c and latency.c. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/uuid.h"
#include "producer/import/line_id.h"
#include "producer/import/resume.h"
#include "producer/latency.h"

static char folder[64], path[96], first[96], second[96];

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    fputs(text, file);
    fclose(file);
}

static void make_files(void)
{
    strcpy(folder, "/tmp/tallymill-resume-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/resume", folder);
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second", folder);
    write_file(first, "one\ntwo\n");
    write_file(second, "one\ntwo\n");
}

static void remove_files(void)
{
    unlink(path);
    unlink(first);
    unlink(second);
    rmdir(folder);
}

TestSuite(resume, .init = make_files, .fini = remove_files);

static struct resume *open_resume(uint64_t options)
{
    struct error err;
    char *inputs[] = {first, second};
    struct resume *resume = resume_open(path, inputs, 2, options, &err);
    cr_assert_not_null(resume, "%s", err.text);
    return resume;
}

static void is_refused(char **inputs, int count, uint64_t options, const char *reason)
{
    struct error err;
    cr_assert_null(resume_open(path, inputs, count, options, &err));
    cr_assert_eq(err.kind, ERROR_USAGE);
    cr_assert_not_null(strstr(err.text, reason), "'%s' is not in '%s'", reason, err.text);
}

Test(resume, keeps_identities_time_lines_and_totals)
{
    struct resume *resume = open_resume(7);
    uint8_t ids[2][LINE_ID_BYTES];
    memcpy(ids[0], resume_file_id(resume, 0), LINE_ID_BYTES);
    memcpy(ids[1], resume_file_id(resume, 1), LINE_ID_BYTES);
    cr_assert_arr_neq(ids[0], ids[1], LINE_ID_BYTES, "files of the same bytes are two files");
    int64_t begun_us = resume_begun_us(resume);
    cr_assert_eq(resume_line(resume, 0), 0);
    resume_free(resume); /* killed before anything was saved */

    resume = open_resume(7);
    cr_assert_arr_eq(resume_file_id(resume, 0), ids[0], LINE_ID_BYTES);
    struct error err;
    struct resume_totals totals = {.sent = 5, .rejected = 2, .reject_bytes = 77};
    cr_assert(resume_save(resume, 1, 9, &totals, &err), "%s", err.text);
    resume_free(resume);

    resume = open_resume(7);
    cr_assert_arr_eq(resume_file_id(resume, 1), ids[1], LINE_ID_BYTES);
    cr_assert_eq(resume_begun_us(resume), begun_us);
    cr_assert_eq(resume_line(resume, 0), 0);
    cr_assert_eq(resume_line(resume, 1), 9);
    cr_assert_eq(resume_totals(resume)->sent, 5);
    cr_assert_eq(resume_totals(resume)->rejected, 2);
    cr_assert_eq(resume_totals(resume)->reject_bytes, 77);
    resume_free(resume);
}

Test(resume, another_import_of_the_same_file_is_another_one)
{
    struct resume *resume = open_resume(7);
    uint8_t id[LINE_ID_BYTES];
    memcpy(id, resume_file_id(resume, 0), LINE_ID_BYTES);
    resume_free(resume);
    unlink(path);
    resume = open_resume(7);
    cr_assert_arr_neq(resume_file_id(resume, 0), id, LINE_ID_BYTES);
    resume_free(resume);
}

Test(resume, refuses_what_is_not_what_it_began_with)
{
    char *inputs[] = {first, second}, *turned[] = {second, first};
    resume_free(open_resume(7));
    is_refused(inputs, 2, 8, "another --format or mapping");
    is_refused(inputs, 1, 7, "other files");
    is_refused(turned, 2, 7, "other files");
    write_file(second, "one\ntwo\nthree\n");
    resume_free(open_resume(7)); /* it may grow */
    write_file(second, "one\nTWO\nthree\n");
    is_refused(inputs, 2, 7, "is not the file");
    write_file(second, "one\n");
    is_refused(inputs, 2, 7, "is not the file");
    unlink(second);
    is_refused(inputs, 2, 7, "cannot read");
    char *folders[] = {folder};
    unlink(path);
    struct error err;
    cr_assert_null(resume_open(path, folders, 1, 7, &err));
}

Test(resume, a_damaged_file_is_refused_at_each_length)
{
    resume_free(open_resume(7));
    char text[4096];
    FILE *file = fopen(path, "r");
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    char *inputs[] = {first, second};
    for (size_t cut = 0; cut + 2 < length; cut++) {
        text[length] = '\0';
        char saved = text[cut];
        text[cut] = '\0';
        write_file(path, text);
        text[cut] = saved;
        is_refused(inputs, 2, 7, "damaged");
    }
}

Test(line_id, is_version_5_of_the_files_id_and_the_line)
{
    /* RFC 9562 A.4: www.example.com in the namespace of DNS names */
    uint8_t space[LINE_ID_BYTES], id[LINE_ID_BYTES];
    char text[UUID_TEXT_BYTES];
    cr_assert(uuid_parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8", 36, space));
    line_id_of_name(id, space, "www.example.com", 15);
    cr_assert_str_eq(uuid_format(text, id), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    line_id(id, space, 1234567); /* python3: uuid.uuid5(uuid.NAMESPACE_DNS, "1234567") */
    cr_assert_str_eq(uuid_format(text, id), "d72ef603-2947-5d78-b55c-40fcd5aba5a4");
    /* a name that fills blocks */
    char name[200];
    memset(name, 'x', sizeof name);
    line_id_of_name(id, space, name, sizeof name);
    cr_assert_str_eq(uuid_format(text, id), "ddcc691a-b8e2-53e5-b059-6a232874b2eb");
}

Test(latency, percentiles_are_within_the_width_of_a_bucket)
{
    static struct latency latency;
    cr_assert_eq(latency_at(&latency, 0.5), 0);
    for (int64_t us = 1; us <= 100000; us++)
        latency_add(&latency, us);
    cr_assert_float_eq((double)latency_at(&latency, 0.5), 50000, 50000 / 16.0);
    cr_assert_float_eq((double)latency_at(&latency, 0.99), 99000, 99000 / 16.0);
    cr_assert_eq(latency_at(&latency, 1), 100000);
    latency_add(&latency, INT64_MAX);
    latency_add(&latency, -5);
    cr_assert_eq(latency.max_us, INT64_MAX);
    cr_assert_eq(latency_at(&latency, 0), 0);
}
