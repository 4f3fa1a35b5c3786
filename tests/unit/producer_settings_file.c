/* producer_settings_file.c - the library's settings from a file, and tokens that the application gets itself. */
#include <criterion/criterion.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tallymill/producer.h>

#include "common/clock.h"
#include "producer_directory.h"
#include "producer_told.h"

static const char nobody[] = "127.0.0.1:1";

static const char *write_file(const char *directory, const char *name, const char *text)
{
    static char path[2][128];
    static int turn;
    char *to = path[turn++ % 2];
    snprintf(to, sizeof path[0], "%s/%s", directory, name);
    FILE *file = fopen(to, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    return to;
}

Test(file, has_the_settings_that_tally_open_takes_with_secrets_in_files_of_their_own)
{
    const char *path = new_directory();
    char text[512];
    write_file(path, "id", "from-a-file\n");
    snprintf(text, sizeof text,
             "# a producer's\n[kafka]\nbootstrap.servers = ignored:1\ntest.mock.num.brokers = 1\nclient.id = @%s/id\n"
             "allow.auto.create.topics = true\n\n[queue]\nsize = 1 MiB\n[topics]\nevents = of no use\n",
             path);
    const char *ini = write_file(path, "tallymill.ini", text);
    struct tally_setting more[] = {{"topics.events", "analytics-events"}, {NULL, NULL}};
    struct told told = {0};
    struct tally_hooks hooks = {.size = sizeof hooks, .delivered = on_delivered, .context = &told};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open_file(ini, more, &hooks, &err);
    cr_assert_not_null(producer, "%s", err.text);
    publish_tagged(producer, 1, 3);
    cr_assert(tally_close(producer, 20000, NULL));
    check_tags(&told, 1, 3);
    cr_assert_null(tally_open_file(ini, NULL, NULL, &err), "the file's own name of the topic");
    cr_assert_not_null(strstr(err.text, "of no use"), "%s", err.text);
    remove_directory(path);
}

Test(file, that_is_wrong_is_named_with_its_line_and_key)
{
    const char *path = new_directory();
    struct {
        const char *text, *why;
    } cases[] = {
        {"[kafka]\nbootstrap.servers = a:1\n[spool]\ndri = /tmp\n",
         "tallymill.ini:4: spool.dri: unknown setting 'spool.dri'; did you mean spool.dir?"},
        {"[kafka]\nbootstrap.servers = a:1\n[postgres]\ndsn = host=a password=secret\n",
         "tallymill.ini:4: postgres.dsn: unknown setting"},
        {"[kafka]\nbootstrap.server = a:1\n", "tallymill.ini:2: kafka.bootstrap.server: "},
        {"[kafka]\nacks = 1\n", "tallymill.ini:2: kafka.acks: "},
        {"[kafka]\nbootstrap.servers = a:1\nbootstrap.servers = b:1\n",
         "tallymill.ini:3: kafka.bootstrap.servers: set twice, here and at line 2"},
        {"[queue]\nsize = large\n", "tallymill.ini:2: queue.size: "},
        {"[kafka]\nsasl.password = @/nowhere/at/all\n", "/nowhere/at/all: cannot open"},
        {"[kafka]\nsasl.password = @name\n", "CREDENTIALS_DIRECTORY"},
        {"[kafka\n", "tallymill.ini:1: "},
        {"words\n", "tallymill.ini:1: "},
        {"postgresql://me:secret@host/db = 1\n", "no key"},
        {"", "kafka.bootstrap.servers is not set"},
    };
    unsetenv("CREDENTIALS_DIRECTORY");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tally_error err = TALLY_ERROR_INIT;
        cr_assert_null(tally_open_file(write_file(path, "tallymill.ini", cases[i].text), NULL, NULL, &err), "case %zu", i);
        cr_assert_eq(err.code, TALLY_INVALID);
        cr_assert_not_null(strstr(err.text, cases[i].why), "case %zu: %s", i, err.text);
        cr_assert_null(strstr(err.text, "secret"), "case %zu: %s", i, err.text);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    cr_assert_null(tally_open_file("/nowhere/at/all.ini", NULL, NULL, &err));
    cr_assert_eq(err.code, TALLY_INVALID);
    cr_assert_not_null(strstr(err.text, "/nowhere/at/all.ini: cannot open"), "%s", err.text);
    cr_assert_null(tally_open_file(NULL, NULL, NULL, &err));
    remove_directory(path);
}

static void on_comment_line(void *context, int level, const char *text)
{
    (void)level;
    if (strstr(text, "comments stand on lines of their own") != NULL)
        snprintf(context, 512, "%s", text);
}

Test(file, with_a_comment_behind_a_value_says_so_to_the_log_hook)
{
    const char *path = new_directory();
    static char line[512];
    struct tally_hooks hooks = {.size = sizeof hooks, .log = on_comment_line, .context = line};
    const char *ini = write_file(path, "tallymill.ini", "[kafka]\nbootstrap.servers = 127.0.0.1:1\nclient.id = us # ours\n");
    struct tally_producer *producer = tally_open_file(ini, NULL, &hooks, NULL);
    cr_assert_not_null(producer);
    tally_close(producer, 0, NULL);
    cr_assert_not_null(strstr(line, "tallymill.ini:3: kafka.client.id: "), "%s", line);
    remove_directory(path);
}

struct asked {
    atomic_int times, failures;
    enum tally_code good, bad, without_principal;
    char why[TALLY_ERROR_BYTES];
};

static void on_token(void *context, struct tally_producer *producer, const char *config)
{
    struct asked *asked = context;
    struct tally_error err = TALLY_ERROR_INIT;
    int64_t in_an_hour_us = clock_wall_us() + 3600 * CLOCK_SECOND_US;
    cr_assert_str_eq(config, "ours");
    asked->bad = tally_oauth_token(producer, "token", 1, "us", NULL, &err);
    snprintf(asked->why, sizeof asked->why, "%s", err.text);
    asked->without_principal = tally_oauth_token(producer, "token", in_an_hour_us, NULL, NULL, NULL);
    tally_oauth_failed(producer, "the provider is away");
    asked->good = tally_oauth_token(producer, "token", in_an_hour_us, "us",
                                    (struct tally_setting[]){{"logicalCluster", "one"}, {NULL, NULL}}, &err);
    atomic_fetch_add(&asked->times, 1);
}

static void on_token_line(void *context, int level, const char *text)
{
    struct asked *asked = context;
    atomic_fetch_add(&asked->failures, level == 3 && strstr(text, "the provider is away") != NULL);
}

Test(token, is_asked_for_and_taken_in_the_hook_or_where_it_is_polled)
{
    for (int is_polled = 0; is_polled < 2; is_polled++) {
        struct asked asked = {0};
        struct tally_setting settings[] = {{"kafka.bootstrap.servers", nobody},
                                           {"kafka.security.protocol", "SASL_PLAINTEXT"},
                                           {"kafka.sasl.mechanism", "OAUTHBEARER"},
                                           {"kafka.sasl.oauthbearer.config", "ours"},
                                           {NULL, NULL}};
        struct tally_hooks hooks = TALLY_HOOKS_INIT;
        hooks.log = on_token_line;
        hooks.context = &asked;
        hooks.is_polled = is_polled == 1;
        hooks.token = on_token;
        struct tally_error err = TALLY_ERROR_INIT;
        struct tally_producer *producer = tally_open(settings, &hooks, &err);
        cr_assert_not_null(producer, "%s", err.text);
        int64_t deadline_us = clock_now_us() + 20 * CLOCK_SECOND_US;
        while ((atomic_load(&asked.times) == 0 || atomic_load(&asked.failures) == 0) && clock_now_us() < deadline_us) {
            usleep(10000);
            tally_poll(producer);
        }
        cr_assert_eq(asked.times, 1);
        cr_assert_eq(asked.good, TALLY_OK);
        cr_assert_eq(asked.bad, TALLY_INVALID, "%s", asked.why);
        cr_assert_eq(asked.without_principal, TALLY_INVALID);
        cr_assert_eq(asked.failures, 1);
        tally_stop(producer, 0, NULL);
        cr_assert_eq(tally_oauth_token(producer, "token", INT64_MAX, "us", NULL, NULL), TALLY_FAILED);
        tally_close(producer, 0, NULL);
    }
    struct tally_producer *producer = open_with(nobody, NULL, "queue.size", "4 MiB", NULL, NULL);
    struct tally_error err = TALLY_ERROR_INIT;
    cr_assert_eq(tally_oauth_token(producer, "token", INT64_MAX, "us", NULL, &err), TALLY_FAILED);
    cr_assert_not_null(strstr(err.text, "hooks.token"));
    tally_oauth_failed(producer, NULL);
    tally_close(producer, 0, NULL);
    cr_assert_eq(tally_oauth_token(NULL, "token", INT64_MAX, "us", NULL, NULL), TALLY_FAILED);
    tally_oauth_failed(NULL, "why");
}
