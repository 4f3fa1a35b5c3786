/* Secrets among the settings: read from files, never shown. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "common/settings.h"
#include "common_temporary.h"

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
    settings_print(settings, FOR_CONSUMER | FOR_OPERATOR, out);
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

/* Expects that this --set is refused, exit code 2, without the word "hunter2". */
static void expect_refused_unquoted(const char *pair, const char *said)
{
    struct error err = {0};
    cr_assert_null(settings_load(NULL, &pair, 1, &err), "%s", pair);
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
    cr_expect_not_null(strstr(err.text, said), "%s", err.text);
}

Test(settings_secret, in_a_uri_that_libpq_would_cut_in_two_is_refused)
{
    static const char *const bad[] = {
        "postgres.dsn=postgresql://me:p@hunter2@db/d",
        "postgres.dsn=postgresql://me:p/hunter2@db/d",
        "postgres.dsn=postgres://me:p@ss/hunter2@db:5432/d",
        "postgres.dsn=postgresql://me:p@hunter2/x@db",
        "postgres.dsn=postgresql://me:a/b?user=hunter2@db/d",
        "postgres.dsn=postgresql://me:1/b?user=hunter2@db/d",
        "postgres.dsn=postgresql://me:hunter2/d",
        "postgres.dsn=postgresql://me:hunter2",
        "postgres.dsn=postgresql://me:p@db/hunter2@x",
        "postgres.dsn=postgresql://h/d?password=a@b/hunter2",
        "postgres.dsn=postgresql://db:5432,me:hunter2/d",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refused_unquoted(bad[i], "--set: postgres.dsn: ");
}

Test(settings_secret, in_a_uri_as_it_must_be_written_is_taken)
{
    expect_masked("postgres.dsn=postgresql://me:p%40hunter2%2F@db:5432,[::1]:5433/d?sslmode=require", "host=db,::1 port=5432,5433");
    expect_masked("postgres.dsn=postgresql://me:a:hunter2?#@db/d", "user=me password=******** dbname=d host=db");
    expect_masked("postgres.dsn=postgresql://db/d?user=me@realm&password=a@hunter2", "user=me@realm password=********");
    expect_masked("postgres.dsn=postgresql:///d?host=/var/run/postgresql&password=hunter2", "host=/var/run/postgresql");
}

/* Whatever symbols a password is made of: the DSN is refused, or its host is the one that was meant. Q and Z stand in passwords and
 * nowhere else, so that one of them is a piece of a password. */
static void expect_no_piece(const char *before, const char *behind, const char *shown, unsigned state)
{
    static const char alphabet[] = "@/:?#%&=[], '\\+!$\"QZ";
    for (int round = 0; round < 20000; round++) {
        char password[12] = "", pair[128];
        for (int i = 0; i < 11; i++) {
            state = state * 1664525u + 1013904223u;
            password[i] = alphabet[(state >> 16) % (sizeof alphabet - 1)];
        }
        password[11] = '\0';
        snprintf(pair, sizeof pair, "postgres.dsn=%s%s%s", before, password, behind);
        const char *sets[] = {pair};
        struct error err = {0};
        struct settings *settings = settings_load(NULL, sets, 1, &err);
        if (settings == NULL) {
            cr_assert_eq(err.kind, ERROR_USAGE);
            cr_assert_null(strpbrk(err.text, "QZ"), "%s: %s", pair, err.text);
            continue;
        }
        char *text = printed(settings);
        cr_assert_not_null(strstr(text, shown), "%s: %s", pair, text);
        cr_assert_null(strpbrk(text, "QZ"), "%s: %s", pair, text);
        free(text);
        settings_free(settings);
    }
}

Test(settings_secret, of_any_symbols_leaves_no_piece_behind_in_a_uri)
{
    expect_no_piece("postgresql://me:", "@db.example/prod?sslmode=prefer",
                    "user=me password=******** dbname=prod host=db.example sslmode=prefer\n", 7);
}

Test(settings_secret, of_any_symbols_leaves_no_piece_behind_in_a_uri_of_an_address)
{
    expect_no_piece("postgresql://me:", "@[::1]/prod", "user=me password=******** dbname=prod host=::1\n", 8);
}

Test(settings_secret, of_any_symbols_leaves_no_piece_behind_in_pairs)
{
    expect_no_piece("host=db.example user=me password=", " dbname=prod", "password=********", 9);
}

Test(settings_secret, with_a_quote_in_it_is_not_quoted)
{
    expect_refused_unquoted("postgres.dsn=postgresql://me:aB\"x9%Khunter2@host/db", "not a connection string: ");
    expect_refused_unquoted("postgres.dsn=host=db user=me password=my\"hunter2 wort\"hunter2", "missing \"=\" after \"...\"");
    expect_refused_unquoted("postgres.dsn=postgresql://me:hunter2@[::1]\"/db", "not a connection string: ");
}

Test(settings_secret, in_what_only_looks_like_a_dsn_is_not_quoted)
{
    expect_refused_unquoted("postgres.dsn=jdbc:postgresql://me:hunter2@h/d?sslmode=require", "begins with postgresql://");
    expect_refused_unquoted("postgres.dsn=postgresql+psycopg2://me:hunter2@h/d?sslmode=require", "begins with postgresql://");
    expect_refused_unquoted("postgres.dsn=host=h password=my hunter2=x", "not a connection string");
    expect_refused_unquoted("postgres.dsn=dbname=postgresql://me:hunter2@h/d", "dbname");
    expect_refused_unquoted("postgres.dsn=dbname='host=h password=hunter2'", "dbname");
    expect_refused_unquoted("postgres.dsn=host=me:hunter2@h dbname=d", "host");
    expect_refused_unquoted("postgres.dsn=host=h port=hunter2", "port");
    expect_refused_unquoted("postgres.dsn:postgresql://me:hunter2@h/d", "KEY=VALUE");
    expect_refused_unquoted("postgresql://me:hunter2@h/d?sslmode=require", "--set");
    expect_refused_unquoted("kafka.bootstrap.servers=me:hunter2@h:9092", "kafka.sasl.username");
    expect_refused_unquoted("kafka.sasl.oauthbearer.token.endpoint.url=https://me:hunter2@idp/token", "client.secret");
}

Test(settings_secret, in_a_line_of_the_file_that_is_no_setting_is_not_quoted, .init = cr_redirect_stderr)
{
    static const char *const lines[] = {"postgresql://me:hunter2@h/d?sslmode=require\n",
                                        "[postgres]\nhost=h password=hunter2 x=y\n", "[kafka]\nsasl.password:hunter2=\n",
                                        "[postgresql://me:hunter2@h/d]\na = b\n",
                                        "[postgres]\npostgresql://me:hunter2@h/d?sslmode=require # of ours\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct error err = {0};
        cr_assert_null(settings_load(temporary_text(lines[i]), NULL, 0, &err), "%s", lines[i]);
        cr_expect_eq(err.kind, ERROR_USAGE);
        cr_expect_null(strstr(err.text, "hunter2"), "%s", err.text);
    }
    char warned[4096];
    warned[fread(warned, 1, sizeof warned - 1, cr_get_redirected_stderr())] = '\0';
    cr_expect_not_null(strstr(warned, "comments stand on lines of their own"), "%s", warned);
    cr_expect_null(strstr(warned, "hunter2"), "%s", warned);
}

Test(settings_secret, under_names_of_other_clients_is_masked)
{
    expect_masked("kafka.sasl.jaas.config=Module required username=\"a\" password=\"hunter2\";", "sasl.jaas.config = ********");
    expect_masked("kafka.sasl.oauthbearer.assertion.private.key.passphrase=hunter2", "passphrase = ********");
    expect_masked("kafka.ssl.keystore.key=hunter2", "ssl.keystore.key = ********");
    expect_masked("postgres.dsn=host=h options='-c my.password=hunter2'", "options=********");
}

/* librdkafka refuses them at the start; --print-settings asks nobody. */
Test(settings_secret, under_a_name_that_nobody_knows_is_masked)
{
    static const char *const names[] = {"sasl.pasword",     "SASL.PASSWORD", "sasl.Password",
                                        "ssl.key.passwort", "sasl-password", "secret"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char pair[100], shown[100];
        snprintf(pair, sizeof pair, "kafka.%s=hunter2", names[i]);
        snprintf(shown, sizeof shown, "%s = ********", names[i]);
        expect_masked(pair, shown);
    }
    expect_masked("kafka.compression.codec=lz4", "compression.codec = lz4"); /* of a topic */
    expect_masked("kafka.linger.ms=5", "linger.ms = 5");                     /* another name of a property */
    expect_masked("kafka.sasl.username=me", "sasl.username = me");
    expect_masked("kafka.ssl.ca.location=/etc/ca.pem", "ssl.ca.location = /etc/ca.pem");
}

Test(settings_secret, in_an_address_is_masked)
{
    expect_masked("metrics.listen=me:hunter2@127.0.0.1:9464", "listen = ********");
    expect_masked("archive.target=s3://me:hunter2@bucket/prefix", "target = ********");
    expect_masked("s3.endpoint=https://me:hunter2@store", "endpoint = ********");
    expect_masked("dashboard.workers=http://me:hunter2@127.0.0.1:9464", "workers = ********");
    expect_masked("metrics.listen=127.0.0.1:9464", "listen = 127.0.0.1:9464");
    expect_masked("archive.target=s3://bucket/prefix", "target = s3://bucket/prefix");
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

/* A command in a shell, with the settings of the services. */
Test(settings_secret, of_a_credential_lies_beside_the_settings_file_where_there_is_no_systemd)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    struct error err = {0};
    const char *secret = temporary_text("hunter2\n");
    char text[200], wanted[ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "[kafka]\nsasl.password = @%s\n", strrchr(secret, '/') + 1);
    const char *path = temporary_text(text);
    struct settings *settings = settings_load(path, NULL, 0, &err);
    cr_assert_not_null(settings, "%s", err.text);
    size_t count;
    cr_expect_str_eq(settings_kafka(settings, &count)->value, "hunter2");
    settings_free(settings);
    path = temporary_text("[postgres]\ndsn = @no-such-name\n");
    cr_assert_null(settings_load(path, NULL, 0, &err));
    snprintf(wanted, sizeof wanted,
             "%s:2: postgres.dsn: @no-such-name, beside the settings file because CREDENTIALS_DIRECTORY is not set: "
             "%.*s/no-such-name: cannot open: No such file or directory",
             path, (int)(strrchr(path, '/') - path), path);
    cr_expect_str_eq(err.text, wanted);
}

/* Somebody who does not know that a value which begins with @ is written @@. */
Test(settings_secret, that_begins_with_an_at_sign_is_not_shown_as_the_name_of_a_file)
{
    static const char *const pairs[] = {"kafka.sasl.password=@hunter2",
                                        "kafka.sasl.password=@a/hunter2",
                                        "kafka.ssl.key.password=@hunter2",
                                        "kafka.SASL.Password=@hunter2",
                                        "kafka.sasl.pasword=@hunter2",
                                        "s3.secret_key=@hunter2",
                                        "s3.session_token=@hunter2",
                                        "dashboard.token=@hunter2",
                                        "postgres.dsn=@postgresql://me:hunter2@h/d",
                                        "postgres.dsn=@host=h password=hunter2",
                                        "kafka.sasl.oauthbearer.client.secret=@hunter2"};
    static const char *const directories[] = {NULL, "/tmp"};
    for (size_t i = 0; i < 2 * sizeof pairs / sizeof pairs[0]; i++) {
        const char *path = i == 0 ? temporary_text("\n") : NULL, *pair = pairs[i / 2];
        unsetenv("CREDENTIALS_DIRECTORY");
        if (directories[i % 2] != NULL)
            setenv("CREDENTIALS_DIRECTORY", directories[i % 2], 1);
        struct error err = {0};
        cr_assert_null(settings_load(path, &pair, 1, &err), "%s", pair);
        cr_expect_eq(err.kind, ERROR_USAGE);
        cr_expect_null(strstr(err.text, "hunter2"), "%s: %s", pair, err.text);
        cr_expect_not_null(strstr(err.text, "@@"), "%s: %s", pair, err.text);
    }
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

/* What others may read libpq does not, and so it comes without a password. */
Test(settings_secret, in_a_passfile_that_others_may_read_is_refused)
{
    const char *passfile = temporary_text("*:*:*:*:hunter2\n");
    char set[300], wanted[ERROR_TEXT_BYTES];
    snprintf(set, sizeof set, "postgres.dsn=host=h passfile=%s", passfile);
    settings_free(load_set(set)); /* mkstemp() made it with mode 600 */
    cr_assert_eq(chmod(passfile, 0640), 0);
    snprintf(wanted, sizeof wanted,
             "--set: postgres.dsn: passfile: others may read %s (mode 640), and libpq passes over such a file: chmod 600 it",
             passfile);
    expect_refused(set, wanted);
    snprintf(set, sizeof set, "postgres.dsn=host=h password=x passfile=%s", passfile);
    settings_free(load_set(set)); /* which libpq does not look into */
    settings_free(load_set("postgres.dsn=host=h passfile=/dev/null"));
}

/* An empty connection string is one to libpq: the server of this host. */
Test(settings_secret, whose_file_is_empty_is_refused)
{
    const char *texts[] = {"", "\n", "\r\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *path = temporary_text(texts[i]);
        char set[300], wanted[ERROR_TEXT_BYTES];
        snprintf(set, sizeof set, "postgres.dsn=@%s", path);
        snprintf(wanted, sizeof wanted, "--set postgres.dsn: %s is empty: it must hold the value", path);
        expect_refused(set, wanted);
    }
}

Test(settings_secret, of_a_credential_needs_systemd)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    expect_refused("postgres.dsn=@dsn",
                   "--set postgres.dsn: @dsn names a systemd credential, but CREDENTIALS_DIRECTORY is not set; "
                   "give the absolute path of a file");
}
