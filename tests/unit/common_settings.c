/* Settings: defaults, file, command line; every wrong one named with its place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/settings.h"
#include "common_temporary.h"

static struct settings *load(const char *text)
{
    struct error err = {0};
    struct settings *settings = settings_load(text != NULL ? temporary_text(text) : NULL, NULL, 0, &err);
    cr_assert_not_null(settings, "%s", err.text);
    return settings;
}

static struct settings *load_set(const char *pair)
{
    struct error err = {0};
    struct settings *settings = settings_load(NULL, &pair, 1, &err);
    cr_assert_not_null(settings, "%s: %s", pair, err.text);
    return settings;
}

/* Expects the file to be refused with a text that says `line` and ends with `said`. */
static void expect_refused(const char *text, int line, const char *said)
{
    struct error err = {0};
    const char *path = temporary_text(text);
    cr_assert_null(settings_load(path, NULL, 0, &err), "%s", text);
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:%d: %s", path, line, said);
    cr_expect_str_eq(err.text, wanted);
}

static void expect_set_refused(const char *pair, const char *said)
{
    struct error err = {0};
    cr_assert_null(settings_load(NULL, &pair, 1, &err), "%s", pair);
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, said);
}

Test(settings, have_the_defaults_of_the_table)
{
    struct settings *settings = load(NULL);
    cr_expect_str_eq(settings_text(settings, "topics.events"), "analytics-events");
    cr_expect_str_eq(settings_text(settings, "postgres.dsn"), "");
    cr_expect_str_eq(settings_text(settings, "catalogue.unknown"), "accept");
    cr_expect_eq(settings_int(settings, "batch.max_rows"), 10000);
    cr_expect_eq(settings_int(settings, "batch.min_age"), 2000);
    cr_expect_eq(settings_int(settings, "memory.max"), 64 << 20);
    cr_expect_eq(settings_int(settings, "window.ahead"), CLOCK_DAY_US);
    cr_expect_str_eq(settings_origin(settings, "topics.events"), "default");
    settings_free(settings);
}

Test(settings, of_the_file_win_over_defaults_and_set_wins_over_the_file)
{
    struct error err = {0};
    const char *path = temporary_text("[topics]\nevents = from-file\n[consumer]\ngroup = g\n");
    const char *const sets[] = {"topics.events=a", "topics.events=from-set"};
    struct settings *settings = settings_load(path, sets, 2, &err);
    cr_assert_not_null(settings, "%s", err.text);
    cr_expect_str_eq(settings_text(settings, "topics.events"), "from-set");
    cr_expect_str_eq(settings_origin(settings, "topics.events"), "--set");
    cr_expect_str_eq(settings_text(settings, "consumer.group"), "g");
    char origin[128];
    snprintf(origin, sizeof origin, "%s:4", path);
    cr_expect_str_eq(settings_origin(settings, "consumer.group"), origin);
    settings_free(settings);
}

Test(settings, keep_everything_behind_the_first_equals_sign)
{
    struct settings *settings = load_set("postgres.dsn=host=a dbname=b");
    cr_expect_str_eq(settings_text(settings, "postgres.dsn"), "host=a dbname=b");
    settings_free(settings);
}

Test(settings, suggest_the_nearest_key_for_an_unknown_one)
{
    expect_refused("[topics]\n\nevent = x\n", 3, "topics.event: unknown setting; did you mean topics.events?");
    expect_refused("events = x\n", 1, "events: unknown setting; did you mean topics.events?");
    expect_refused("[Topics]\nevents = x\n", 2, "Topics.events: unknown setting; did you mean topics.events?");
    expect_refused("[nothing]\nlike_it = x\n", 2, "nothing.like_it: unknown setting (--help lists them)");
    expect_set_refused("batch.maxrows=5", "--set batch.maxrows: unknown setting; did you mean batch.max_rows?");
}

Test(settings, refuse_a_bad_unit)
{
    expect_refused("[memory]\nmax = 64 mb\n", 2,
                   "memory.max: \"64 mb\" is not a size such as \"64 MiB\" (B, KiB, MiB, GiB, kB, MB, GB)");
    expect_refused("[batch]\nmin_age = 5\n", 2,
                   "batch.min_age: \"5\" is not a time with its unit, such as \"5 s\" (us, ms, s, min, h, day, days)");
    expect_set_refused(
        "batch.min_age=5 sec",
        "--set batch.min_age: \"5 sec\" is not a time with its unit, such as \"5 s\" (us, ms, s, min, h, day, days)");
    expect_set_refused("batch.max_rows=10k", "--set batch.max_rows: \"10k\" is not a whole number");
}

Test(settings, refuse_a_value_out_of_range_and_say_the_range)
{
    expect_refused("[batch]\nmax_rows = 0\n", 2, "batch.max_rows: 0 is out of range: 1 to 100000");
    expect_set_refused("memory.max=1 MiB", "--set memory.max: 1 MiB is out of range: 32 MiB to 64 GiB");
    expect_set_refused("batch.min_age=61 s", "--set batch.min_age: 61 s is out of range: 0 us to 1 min");
    expect_set_refused("window.ahead=4000 days", "--set window.ahead: 4000 days is out of range: 0 us to 3650 days");
}

Test(settings, refuse_numbers_that_are_none)
{
    static const char *const bad[] = {"", "-1", "+1", "1.5", "1e3", "0x10", "10,000", " 1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err = {0};
        char pair[64];
        snprintf(pair, sizeof pair, "batch.max_rows=%s", bad[i]);
        const char *const sets[] = {pair};
        cr_expect_null(settings_load(NULL, sets, 1, &err), "%s", pair);
        cr_expect_eq(err.kind, ERROR_USAGE);
    }
}

Test(settings, refuse_a_number_that_overflows_with_its_unit)
{
    struct error err = {0};
    const char *const sets[] = {"memory.max=9223372036854775807 GiB"};
    cr_expect_null(settings_load(NULL, sets, 1, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
}

Test(settings, read_every_unit)
{
    static const struct {
        const char *pair, *key;
        int64_t value;
    } cases[] = {
        {"memory.max=67108864", "memory.max", 67108864},
        {"memory.max=67108864 B", "memory.max", 67108864},
        {"memory.max=65536KiB", "memory.max", 67108864},
        {"memory.max=64 MiB", "memory.max", 67108864},
        {"memory.max=1 GiB", "memory.max", 1 << 30},
        {"memory.max=100000 kB", "memory.max", 100000000},
        {"memory.max=100 MB", "memory.max", 100000000},
        {"memory.max=1 GB", "memory.max", 1000000000},
        {"batch.min_age=7 us", "batch.min_age", 7},
        {"batch.min_age=7ms", "batch.min_age", 7000},
        {"batch.min_age=7 s", "batch.min_age", 7000000},
        {"batch.min_age=1 min", "batch.min_age", 60000000},
        {"window.ahead=2 h", "window.ahead", INT64_C(7200000000)},
        {"window.ahead=2 days", "window.ahead", 2 * CLOCK_DAY_US},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings *settings = load_set(cases[i].pair);
        cr_expect_eq(settings_int(settings, cases[i].key), cases[i].value, "%s", cases[i].pair);
        settings_free(settings);
    }
}

Test(settings, offer_the_words_of_a_choice)
{
    expect_set_refused("window.policy=clam", "--set window.policy: \"clam\" is not one of reject|clamp; did you mean clamp?");
    expect_set_refused("window.policy=no", "--set window.policy: \"no\" is not one of reject|clamp");
}

Test(settings, refuse_an_empty_name_and_one_that_kafka_would_refuse)
{
    expect_refused("[topics]\nevents =\n", 2, "topics.events: must not be empty");
    char pair[300] = "topics.events=";
    memset(pair + strlen(pair), 'x', 250);
    struct error err = {0};
    const char *const sets[] = {pair};
    cr_expect_null(settings_load(NULL, sets, 1, &err));
    cr_expect_str_eq(err.text, "--set topics.events: 250 bytes are too long: at most 249");
}

Test(settings, refuse_a_key_that_one_file_gives_twice)
{
    struct error err = {0};
    const char *path = temporary_text("[topics]\nevents = a\n[consumer]\ngroup = g\n[topics]\nevents = b\n");
    cr_assert_null(settings_load(path, NULL, 0, &err));
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "%s:6: topics.events: set twice, here and at %s:2", path, path);
    cr_expect_str_eq(err.text, wanted);
}

Test(settings, of_the_command_line_want_key_and_value)
{
    expect_set_refused("topics.events", "--set topics.events: it wants KEY=VALUE");
    expect_set_refused("=secret", "--set =...: it wants KEY=VALUE");
    expect_set_refused("kafka.=x", "--set kafka.: no name behind \"kafka.\"");
    expect_set_refused("kafka.linger ms=5", "--set ...: a kafka.* setting has a name of letters, digits, '.', '_' and '-'");
}

Test(settings, hand_kafka_keys_on_in_order_and_let_the_command_line_win)
{
    struct error err = {0};
    const char *path = temporary_text("[kafka]\nbootstrap.servers = a:1\nlinger.ms = 5\n");
    const char *const sets[] = {"kafka.linger.ms=7", "kafka.acks=all"};
    struct settings *settings = settings_load(path, sets, 2, &err);
    cr_assert_not_null(settings, "%s", err.text);
    size_t count;
    const struct kafka_setting *kafka = settings_kafka(settings, &count);
    cr_assert_eq(count, 3u);
    cr_expect(strcmp(kafka[0].name, "bootstrap.servers") == 0 && strcmp(kafka[0].value, "a:1") == 0);
    cr_expect(strcmp(kafka[1].name, "linger.ms") == 0 && strcmp(kafka[1].value, "7") == 0);
    cr_expect(strcmp(kafka[2].name, "acks") == 0 && strcmp(kafka[2].value, "all") == 0);
    cr_expect_null(kafka[3].name);
    cr_expect_str_eq(settings_origin(settings, "kafka.linger.ms"), "--set");
    cr_expect_str_eq(settings_origin(settings, "kafka.nothing"), "default");
    settings_free(settings);
}

Test(settings, find_the_oldest_day_of_an_age)
{
    int64_t now_us, wanted_us;
    clock_parse_time("2026-03-31T23:59:59Z", 20, &now_us);
    static const char *const cases[][2] = {
        {"13 months", "2025-02-01T00:00:00Z"},   {"1 month", "2026-02-01T00:00:00Z"}, {"0 months", "2026-03-01T00:00:00Z"},
        {"90 days", "2025-12-31T00:00:00Z"},     {"1 day", "2026-03-30T00:00:00Z"},   {"2015-01-01", "2015-01-01T00:00:00Z"},
        {"1200 months", "1926-03-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char pair[64];
        snprintf(pair, sizeof pair, "window.oldest=%s", cases[i][0]);
        struct settings *settings = load_set(pair);
        clock_parse_time(cases[i][1], strlen(cases[i][1]), &wanted_us);
        cr_expect_eq(settings_oldest_us(settings, "window.oldest", now_us), wanted_us, "%s", pair);
        settings_free(settings);
    }
}

Test(settings, refuse_an_age_that_is_none)
{
    static const char *const bad[] = {"",         "13",      "months",      "1 year",          "2015-02-29",
                                      "2015-1-1", "-1 days", "1201 months", "99999999999 days"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char pair[64];
        struct error err = {0};
        snprintf(pair, sizeof pair, "window.oldest=%s", bad[i]);
        const char *const sets[] = {pair};
        cr_expect_null(settings_load(NULL, sets, 1, &err), "%s", pair);
        cr_expect_eq(err.kind, ERROR_USAGE);
    }
}

/* What settings_print() writes. */
static char *printed(const struct settings *settings, unsigned programs)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    settings_print(settings, programs, out);
    fclose(out);
    return text;
}

Test(settings, print_as_a_file_that_reads_back_the_same)
{
    struct error err = {0};
    const char *const sets[] = {"postgres.dsn=postgresql://me@h:5/d?application_name=a%20b", "batch.min_age=1 min",
                                "kafka.bootstrap.servers=a:1,b:2", "window.oldest=2015-01-01"};
    struct settings *settings = settings_load(NULL, sets, 4, &err);
    cr_assert_not_null(settings, "%s", err.text);
    char *first = printed(settings, FOR_CONSUMER);
    settings_free(settings);
    cr_expect_not_null(
        strstr(first, "\n# the most events in one transaction; fewer where they fill its share of memory.max\nmax_rows = 10000\n"));
    cr_expect_not_null(strstr(first, "dsn = user=me dbname=d host=h port=5 application_name='a b'\n"), "%s", first);
    cr_expect_null(strstr(first, "[aggregator]"), "a setting of another program");
    settings = load(first);
    char *second = printed(settings, FOR_CONSUMER);
    cr_expect_str_eq(first, second);
    settings_free(settings);
    free(first);
    free(second);
}

/* ---- while a program runs ---- */

static const char *const all_keys[] = {"log.level=debug", "memory.max=128 MiB", "batch.max_rows=5"};

Test(settings_reload, takes_over_what_the_program_can_change_and_nothing_else)
{
    struct error err;
    struct settings *settings = settings_load(NULL, NULL, 0, &err), *fresh = settings_load(NULL, all_keys, 3, &err);
    cr_assert(settings && fresh);
    settings_adopt(settings, fresh, FOR_CONSUMER);
    settings_free(fresh);
    cr_expect_str_eq(settings_text(settings, "log.level"), "debug");
    cr_expect_eq(settings_int(settings, "batch.max_rows"), 5);
    cr_expect_eq(settings_int(settings, "memory.max"), INT64_C(64) << 20);
    settings_free(settings);
}

Test(settings_reload, reads_the_command_line_again)
{
    struct error err;
    struct settings *settings = settings_load(NULL, all_keys, 3, &err), *again = settings_load_again(settings, &err);
    cr_assert(settings && again);
    cr_expect_eq(settings_int(again, "batch.max_rows"), 5);
    settings_free(settings);
    settings_free(again);
}

Test(settings_reload, knows_only_keys_that_the_program_reads)
{
    for (const struct setting *setting = settings_table; setting->key != NULL; setting++)
        for (unsigned program = FOR_CONSUMER; program <= FOR_OPERATOR; program *= 2)
            cr_expect(!settings_is_live(setting, program) ||
                          (setting->programs & program && (program == FOR_CONSUMER || program == FOR_AGGREGATOR)),
                      "%s", setting->key);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

Test(settings_reload, sees_what_a_file_holds_now_behind_the_same_name)
{
    char path[] = "/tmp/tallymill-secret-XXXXXX", location[128], password[128], dsn[128];
    struct error err;
    const int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
    write_file(path, "host=one\n");
    snprintf(location, sizeof location, "kafka.ssl.ca.location=%s", path);
    snprintf(password, sizeof password, "kafka.sasl.password=@%s", path);
    snprintf(dsn, sizeof dsn, "postgres.dsn=@%s", path);
    const char *const by_name[] = {location}, *const by_content[] = {password, dsn, "kafka.client.id=me"};
    struct settings *authority = settings_load(NULL, by_name, 1, &err), *secrets = settings_load(NULL, by_content, 3, &err);
    cr_assert(authority && secrets);
    struct settings *same = settings_load_again(authority, &err);
    cr_expect(settings_is_same_kafka(authority, same));
    write_file(path, "host=two\n");
    struct settings *other = settings_load_again(authority, &err), *fresh = settings_load_again(secrets, &err);
    cr_assert(other && fresh);
    cr_expect_not(settings_is_same_kafka(authority, other));
    cr_expect(settings_is_written_same_kafka(authority, other));
    cr_expect_not(settings_is_same_kafka(secrets, fresh));
    cr_expect_not(settings_is_written_same_kafka(secrets, authority));
    cr_expect_not(settings_is_same_dsn(secrets, fresh));

    settings_adopt(secrets, fresh, FOR_CONSUMER); /* neither is its to take */
    cr_expect_str_eq(settings_text(secrets, "postgres.dsn"), "host=one");
    settings_swap_kafka(secrets, authority); /* of another length */
    size_t count;
    cr_expect_str_eq(settings_kafka(secrets, &count)[0].name, "ssl.ca.location");
    cr_expect_eq(count, 1);
    cr_expect_null(settings_kafka(secrets, &count)[1].name);
    cr_expect_str_eq(settings_kafka(authority, &count)[1].value, "me");
    cr_expect_eq(count, 2);

    cr_expect(settings_refresh_dsn(secrets, &err));
    cr_expect_str_eq(settings_text(secrets, "postgres.dsn"), "host=two");
    write_file(path, "no connection string\n");
    cr_expect_not(settings_refresh_dsn(secrets, &err));
    cr_expect_str_eq(settings_text(secrets, "postgres.dsn"), "host=two");
    remove(path);
    settings_free(authority);
    settings_free(secrets);
    settings_free(same);
    settings_free(other);
    settings_free(fresh);
}

/* librdkafka takes a folder of authorities too. */
Test(settings_reload, sees_what_a_folder_holds_now)
{
    char folder[] = "/tmp/tallymill-folder-XXXXXX", path[64], location[128];
    struct error err;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one.pem", folder);
    snprintf(location, sizeof location, "kafka.ssl.ca.location=%s", folder);
    write_file(path, "one\n");
    const char *const set[] = {location};
    struct settings *before = settings_load(NULL, set, 1, &err);
    cr_assert_not_null(before);
    struct settings *same = settings_load_again(before, &err);
    cr_expect(settings_is_same_kafka(before, same));
    write_file(path, "another one\n");
    struct settings *changed = settings_load_again(before, &err);
    cr_expect_not(settings_is_same_kafka(before, changed));
    remove(path);
    struct settings *emptied = settings_load_again(before, &err);
    cr_expect_not(settings_is_same_kafka(changed, emptied));
    rmdir(folder);
    settings_free(before);
    settings_free(same);
    settings_free(changed);
    settings_free(emptied);
}
