/* The text format of the metrics, line by line, and what health says when. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/health.h"
#include "common/http_socket.h"
#include "common/metrics.h"

enum { EVENTS, LATE, WAIT, AGE, TIMES, LAG, COUNT };

static const char *const kinds[] = {"a", "b", NULL};

static const struct metric table[COUNT] = {
    [EVENTS] = {.name = "events_total", .help = "events", .kind = METRIC_COUNTER, .label = "kind", .names = kinds},
    [LATE] = {.name = "late", .help = "late ones", .kind = METRIC_GAUGE},
    [WAIT] = {.name = "wait_seconds_total", .help = "waited", .kind = METRIC_COUNTER, .unit = METRIC_SECONDS},
    [AGE] = {.name = "age_seconds", .help = "age", .kind = METRIC_AGE},
    [TIMES] = {.name = "times_seconds", .help = "times", .kind = METRIC_HISTOGRAM},
    [LAG] = {.name = "lag", .help = "lag", .kind = METRIC_GAUGE, .label = "topic_partition", .series = 100},
};

static struct metrics *metrics;
static char *page;

static void make(void)
{
    struct error err;
    metrics = metrics_new("x", table, COUNT, &err);
    cr_assert_not_null(metrics);
}

static void drop(void)
{
    metrics_free(metrics);
    free(page);
}

static const char *show(int64_t now_us)
{
    size_t length;
    free(page);
    FILE *out = open_memstream(&page, &length);
    metrics_write(metrics, out, now_us);
    fclose(out);
    return page;
}

static void expect(const char *line)
{
    char whole[256];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    cr_expect_not_null(strstr(page, whole), "no line %s in:\n%s", line, page);
}

Test(metrics, begin_with_counters_at_0_and_gauges_unknown, .init = make, .fini = drop)
{
    show(0);
    expect("# HELP x_events_total events");
    expect("# TYPE x_events_total counter");
    expect("x_events_total{kind=\"a\"} 0");
    expect("x_events_total{kind=\"b\"} 0");
    expect("# TYPE x_late gauge");
    expect("x_times_seconds_count 0");
    cr_expect_null(strstr(page, "\nx_late "));
    cr_expect_null(strstr(page, "\nx_age_seconds "));
    cr_expect_null(strstr(page, "\nx_lag{"));
}

Test(metrics, show_what_was_counted_and_set, .init = make, .fini = drop)
{
    metrics_add(metrics, EVENTS, 1, 5);
    metrics_add(metrics, EVENTS, 1, 2);
    metrics_set(metrics, LATE, 0, -3);
    metrics_add(metrics, WAIT, 0, 1500);
    metrics_set(metrics, AGE, 0, 1000000);
    show(3500000);
    expect("x_events_total{kind=\"b\"} 7");
    expect("x_late -3");
    expect("x_wait_seconds_total 0.001500");
    expect("x_age_seconds 2.500000");
    cr_expect_not_null(strstr(show(0), "\nx_age_seconds 0.000000\n"), "a clock read a moment before the writer's");
}

Test(metrics, count_a_duration_in_every_bucket_above_it, .init = make, .fini = drop)
{
    metrics_observe(metrics, TIMES, 1000);
    metrics_observe(metrics, TIMES, 1001);
    metrics_observe(metrics, TIMES, INT64_C(90000000));
    show(0);
    expect("# TYPE x_times_seconds histogram");
    expect("x_times_seconds_bucket{le=\"0.001\"} 1");
    expect("x_times_seconds_bucket{le=\"0.0025\"} 2");
    expect("x_times_seconds_bucket{le=\"60\"} 2");
    expect("x_times_seconds_bucket{le=\"+Inf\"} 3");
    expect("x_times_seconds_sum 90.002001");
    expect("x_times_seconds_count 3");
}

Test(metrics, forget_series_that_are_dropped_and_take_none_beyond_the_table, .init = make, .fini = drop)
{
    metrics_set(metrics, LAG, 3, 7);
    metrics_set(metrics, LAG, 99, 0);
    metrics_set(metrics, LAG, 100, 1);
    metrics_set(metrics, LAG, -1, 1);
    show(0);
    expect("x_lag{topic_partition=\"3\"} 7");
    expect("x_lag{topic_partition=\"99\"} 0");
    cr_expect_null(strstr(page, "x_lag{topic_partition=\"100\"}"));
    metrics_drop(metrics, LAG);
    metrics_set(metrics, LAG, 4, 1);
    show(0);
    expect("x_lag{topic_partition=\"4\"} 1");
    cr_expect_null(strstr(page, "x_lag{topic_partition=\"3\"}"));
}

Test(metrics, escape_what_labels_hold, .init = make, .fini = drop)
{
    char longer[4096];
    memset(longer, '"', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    metrics_add_info(metrics, "topic", "a\"b\\c\nd");
    metrics_add_info(metrics, "longer", longer);
    show(0);
    expect("x_info{version=\"" TALLYMILL_VERSION "\",topic=\"a\\\"b\\\\c\\nd\"} 1");
}

static atomic_bool is_done;

static void *read_on(void *ignored)
{
    (void)ignored;
    while (!atomic_load(&is_done)) /* ends: when the writer is through */
        show(0);
    return NULL;
}

Test(metrics, are_read_while_they_are_written, .init = make, .fini = drop)
{
    pthread_t reader;
    cr_assert_eq(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (int i = 0; i < 100000; i++) {
        metrics_add(metrics, EVENTS, i % 2, 1);
        metrics_observe(metrics, TIMES, i);
        metrics_set(metrics, LAG, i % 100, i);
    }
    atomic_store(&is_done, true);
    pthread_join(reader, NULL);
    show(0);
    expect("x_events_total{kind=\"a\"} 50000");
    expect("x_times_seconds_count 100000");
}

/* ---- health ---- */

static struct health health;

static bool is_well(int64_t turned_us, int64_t now_us)
{
    size_t length;
    free(page);
    FILE *out = open_memstream(&page, &length);
    const bool well = health_write(&health, out, turned_us, now_us);
    fclose(out);
    return well;
}

static const int64_t S = 1000000;

static void be_healthy(void)
{
    health_init(&health, "reading", 10 * S, S);
    health_set_reason(&health, NULL, S);
}

static void free_page(void)
{
    free(page);
}

Test(health, is_not_good_before_it_was_told_so, .fini = free_page)
{
    health_init(&health, "starting", 10 * S, S);
    cr_expect_not(is_well(0, 2 * S));
    cr_expect_not_null(strstr(page, "it is starting"));
}

Test(health, is_good_when_idle, .init = be_healthy, .fini = free_page)
{
    cr_expect(is_well(1000 * S, 1000 * S));
    cr_expect_str_eq(page, "{\"status\":\"ok\",\"state\":\"reading\"}\n");
}

Test(health, tells_the_reason_and_for_how_long, .init = be_healthy, .fini = free_page)
{
    health_set_reason(&health, "Postgres is away", 5 * S);
    health_set_reason(&health, "Postgres is away", 7 * S);
    cr_expect_not(is_well(8 * S, 8 * S));
    cr_expect_str_eq(page, "{\"status\":\"failing\",\"state\":\"reading\",\"reason\":\"Postgres is away\",\"seconds\":3.0}\n");
    health_set_reason(&health, NULL, 9 * S);
    cr_expect(is_well(9 * S, 9 * S));
}

Test(health, fails_when_work_waits_for_longer_than_it_may, .init = be_healthy, .fini = free_page)
{
    health_set_work(&health, true, false, 5 * S);
    cr_expect(is_well(15 * S, 15 * S));
    cr_expect_not(is_well(16 * S, 16 * S));
    health_set_work(&health, true, true, 16 * S);
    cr_expect(is_well(26 * S, 26 * S));
    health_set_work(&health, false, false, 27 * S);
    cr_expect(is_well(100 * S, 100 * S));
}

Test(health, fails_when_the_main_loop_hangs_and_not_before_it_has_begun, .init = be_healthy, .fini = free_page)
{
    cr_expect(is_well(0, 500 * S));
    cr_expect(is_well(440 * S, 500 * S));
    cr_expect_not(is_well(439 * S, 500 * S));
}

/* ---- addresses ---- */

Test(http, takes_an_address_with_a_port_only)
{
    struct error err;
    static const char *const good[] = {"127.0.0.1:9464", "[::1]:9464",        "localhost:0",
                                       "0.0.0.0:65535",  "127.0.0.1:9460+12", "[::1]:65000+535"};
    static const char *const bad[] = {"",         ":",    ":9464", "9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                      "::1:9464", "[]:1", "a:1 ",  "a:1+", "a:+1",      "a:1+2+3",    "a:65000+536",
                                      "a:1+x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(http_socket_check(good[i], &err), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not(http_socket_check(bad[i], &err), "%s", bad[i]);
        cr_expect_eq(err.kind, ERROR_USAGE);
    }
}
