/* Secrets among the settings: read from files, never shown. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

#include "common_temporary.h"
#include "error.h"
#include "settings.h"

static struct settings *load_set(const char *pair)
{
    struct error err = {0};
    struct settings *settings = settings_load(NULL, &pair, 1, &err);
    cr_assert_not_null(settings, "%s: %s", pair, err.text);
    return settings;
}

static void expect_refused(const char *pair, const char *said)
{
    struct error err = {0};
    cr_assert_null(settings_load(NULL, &pair, 1, &err), "%s", pair);
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, said);
}

static char *printed(const struct settings *settings)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    settings_print(settings, FOR_CONSUMER, out);
    fclose(out);
    return text;
}

/* Expects that printing these settings shows `shown` and not the word "hunter2". */
static void expect_masked(const char *pair, const char *shown)
{
    struct settings *settings = load_set(pair);
    char *text = printed(settings);
    cr_expect_null(strstr(text, "hunter2"), "%s", text);
    cr_expect_not_null(strstr(text, shown), "%s", text);
    free(text);
    settings_free(settings);
}

Test(settings_secret, in_a_dsn_is_masked_in_either_notation)
{
    expect_masked("postgres.dsn=host=h password=hunter2 user=me", "user=me password=******** host=h");
    expect_masked("postgres.dsn=host=h password='a hunter2 \\'x' dbname=d", "password=********");
    expect_masked("postgres.dsn=postgresql://me:hunter2@h/d", "user=me password=******** dbname=d host=h");
    expect_masked("postgres.dsn=postgresql://h/d?password=hunter2&sslpassword=hunter2", "password=********");
}

Test(settings_secret, part_of_a_dsn_is_quoted_where_libpq_would_cut_it)
{
    expect_masked("postgres.dsn=host=h dbname='\rd'", "dbname='\rd' host=h");
    expect_masked("postgres.dsn=host=h dbname='d\v'", "dbname='d\v' host=h");
}

Test(settings_secret, of_kafka_is_masked)
{
    expect_masked("kafka.sasl.password=hunter2", "sasl.password = ********");
    expect_masked("kafka.ssl.key.password=hunter2", "ssl.key.password = ********");
    expect_masked("kafka.ssl.key.pem=hunter2", "ssl.key.pem = ********");
    expect_masked("kafka.sasl.oauthbearer.client.secret=hunter2", "sasl.oauthbearer.client.secret = ********");
}

Test(settings_secret, that_libpq_cannot_parse_is_not_quoted)
{
    static const char *const bad[] = {"postgres.dsn=host=h password=my hunter2", "postgres.dsn=postgresql://me:%hunter2@h/d",
                                      "postgres.dsn=password='hunter2", "postgres.dsn=postgresql://h/d?hunter2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        cr_assert_null(settings_load(NULL, &bad[i], 1, &err), "%s", bad[i]);
        cr_expect_eq(err.kind, ERROR_USAGE);
        cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
        cr_expect_eq(strncmp(err.text, "--set: postgres.dsn: not a connection string: ", 46), 0, "%s", err.text);
    }
}

Test(settings_secret, names_the_option_that_libpq_does_not_know)
{
    expect_refused("postgres.dsn=hots=h", "--set: postgres.dsn: not a connection string: invalid connection option \"hots\" "
                                          "(a value with spaces stands between single quotes; in a URI write % as %25)");
}

Test(settings_secret, comes_from_the_file_behind_an_at_sign)
{
    const char *path = temporary_text("host=h password=hunter2\n");
    char pair[128];
    snprintf(pair, sizeof pair, "postgres.dsn=@%s", path);
    struct settings *settings = load_set(pair);
    cr_expect_str_eq(settings_text(settings, "postgres.dsn"), "host=h password=hunter2");
    char *text = printed(settings);
    cr_expect_null(strstr(text, "hunter2"));
    cr_expect_not_null(strstr(text, strchr(pair, '@')), "the file's name is no secret: %s", text);
    free(text);
    settings_free(settings);
}

Test(settings_secret, comes_from_a_systemd_credential)
{
    setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
    const char *path = temporary_text("hunter2\r\n");
    char pair[128];
    snprintf(pair, sizeof pair, "kafka.sasl.password=@%s", strrchr(path, '/') + 1);
    struct settings *settings = load_set(pair);
    size_t count;
    cr_expect_str_eq(settings_kafka(settings, &count)->value, "hunter2");
    settings_free(settings);
}

Test(settings_secret, may_begin_with_an_at_sign_that_is_doubled)
{
    struct settings *settings = load_set("kafka.sasl.password=@@hunter2");
    size_t count;
    cr_expect_str_eq(settings_kafka(settings, &count)->value, "@hunter2");
    settings_free(settings);
    expect_masked("kafka.sasl.password=@@hunter2", "sasl.password = ********");
}

Test(settings_secret, whose_file_cannot_be_read_is_named_with_file_and_line)
{
    struct error err = {0};
    const char *path = temporary_text("[kafka]\nbootstrap.servers = a:1\n\nsasl.password = @/nonexistent/password\n");
    cr_assert_null(settings_load(path, NULL, 0, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:4: kafka.sasl.password: /nonexistent/password: cannot open: No such file or directory",
             path);
    cr_expect_str_eq(err.text, wanted);
}

Test(settings_secret, files_of_libpq_that_cannot_be_read_are_named_with_file_and_line)
{
    struct error err = {0};
    const char *path = temporary_text("[postgres]\ndsn = host=h passfile=/nonexistent/pgpass\n");
    cr_assert_null(settings_load(path, NULL, 0, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:2: postgres.dsn: passfile: cannot read /nonexistent/pgpass: No such file or directory",
             path);
    cr_expect_str_eq(err.text, wanted);
}

Test(settings_secret, of_a_credential_needs_systemd)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    expect_refused("postgres.dsn=@dsn",
                   "--set postgres.dsn: @dsn names a systemd credential, but CREDENTIALS_DIRECTORY is not set; "
                   "give the absolute path of a file");
}
