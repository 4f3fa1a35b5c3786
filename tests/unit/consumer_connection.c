/* How long nothing is asked of Postgres after a failure. */
#include <criterion/criterion.h>

#include "consumer/connection.h"

static const int64_t MS = 1000, NOW = 1000000000000;

/* The pause is between a half and the whole of what it may be. */
static void expect_pause(const struct connection *connection, int64_t now_us, int64_t most_us)
{
    cr_expect_geq(connection->not_before_us - now_us, most_us / 2);
    cr_expect_leq(connection->not_before_us - now_us, most_us);
}

Test(connection, doubles_its_pause_up_to_five_seconds)
{
    static const int64_t most_ms[] = {50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    struct connection connection = {.not_before_us = NOW};
    for (size_t i = 0; i < sizeof most_ms / sizeof *most_ms; i++) {
        const int64_t now_us = connection.not_before_us;
        connection_back_off(&connection, now_us);
        expect_pause(&connection, now_us, most_ms[i] * MS);
    }
}

Test(connection, begins_with_a_short_pause_again_once_a_batch_was_stored_or_a_minute_has_passed)
{
    struct connection connection = {.not_before_us = NOW};
    for (int i = 0; i < 10; i++)
        connection_back_off(&connection, NOW);
    connection_settle(&connection);
    connection_back_off(&connection, NOW);
    expect_pause(&connection, NOW, 50 * MS);
    for (int i = 0; i < 10; i++)
        connection_back_off(&connection, NOW);
    const int64_t later_us = connection.not_before_us + 60000 * MS;
    struct connection other = connection;
    connection_back_off(&connection, later_us);
    expect_pause(&connection, later_us, 5000 * MS);
    connection_back_off(&other, later_us + 1);
    expect_pause(&other, later_us + 1, 50 * MS);
}

Test(connection, is_not_idle_while_it_is_away)
{
    struct connection connection = {0};
    cr_expect_not(connection_is_idle(&connection));
    cr_expect_not(connection_is_lost(&connection, NOW), "nothing is there to be lost");
    connection_drop(&connection, NOW);
    expect_pause(&connection, NOW, 50 * MS);
}
