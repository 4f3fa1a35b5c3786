/* producer_instant.c - instant.c: times as files write them. */
#include <criterion/criterion.h>

#include <stdint.h>

#include "instant.h"

static const char *read_text(const char *json, enum time_unit unit, int64_t *wall_us)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    cr_assert_not_null(value, "%s", json);
    const char *fault = instant_read(value, unit, wall_us);
    json_decref(value);
    return fault;
}

Test(instant, reads_text_and_numbers_in_every_unit_to_the_microsecond)
{
    static const struct {
        const char *json;
        enum time_unit unit;
        int64_t wall_us;
    } cases[] = {
        {"\"2015-05-17T10:05:03Z\"", TIME_UNIT_UNSTATED, 1431857103000000},
        {"\"2015-05-17T12:05:03.5+02:00\"", TIME_UNIT_S, 1431857103500000},
        {"1431857103", TIME_UNIT_S, 1431857103000000},
        {"1431857103.123456", TIME_UNIT_S, 1431857103123456},
        {"1431857103123", TIME_UNIT_MS, 1431857103123000},
        {"1431857103123.5", TIME_UNIT_MS, 1431857103123500},
        {"1431857103123456", TIME_UNIT_US, 1431857103123456},
        {"1431857103123456789", TIME_UNIT_NS, 1431857103123456},
        {"-1", TIME_UNIT_NS, -1},
        {"-1", TIME_UNIT_S, -1000000},
        {"\"1431857103\"", TIME_UNIT_S, 1431857103000000},
        {"\"1431857103.25\"", TIME_UNIT_S, 1431857103250000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t wall_us;
        const char *fault = read_text(cases[i].json, cases[i].unit, &wall_us);
        cr_assert_null(fault, "%s %s", cases[i].json, fault);
        cr_assert_eq(wall_us, cases[i].wall_us, "%s gives %lld", cases[i].json, (long long)wall_us);
    }
}

Test(instant, never_guesses_a_unit_and_takes_nothing_else_for_a_time)
{
    int64_t wall_us;
    cr_assert_not_null(read_text("1431857103", TIME_UNIT_UNSTATED, &wall_us));
    cr_assert_not_null(read_text("\"1431857103\"", TIME_UNIT_UNSTATED, &wall_us));
    static const char *const no_times[] = {"\"\"",
                                           "\"yesterday\"",
                                           "\"2015-05-17\"",
                                           "\"2015-05-17T10:05:03\"",
                                           "\"2015-02-30T00:00:00Z\"",
                                           "\"1-2\"",
                                           "\"-\"",
                                           "true",
                                           "[]",
                                           "9223372036854775807",
                                           "1e300",
                                           "\"99999999999999999999\""};
    for (size_t i = 0; i < sizeof no_times / sizeof *no_times; i++)
        cr_assert_not_null(read_text(no_times[i], TIME_UNIT_S, &wall_us), "%s", no_times[i]);
    enum time_unit unit;
    cr_assert(instant_parse_unit("ms", &unit) && unit == TIME_UNIT_MS);
    cr_assert(!instant_parse_unit("min", &unit));
}
