/* Brokers are counted, not connections: librdkafka lists the coordinator's beside the broker's own, and bootstrap addresses without
 * a number. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "consumer/source_statistics.h"

static int brokers_up(const char *brokers)
{
    char json[2048];
    snprintf(json, sizeof json, "{\"topics\": {}, \"brokers\": {%s}}", brokers);
    struct source_statistics statistics = {0};
    source_statistics_read(&statistics, json, strlen(json));
    cr_assert(statistics.is_known);
    return statistics.brokers_up;
}

#define BROKER(name, id, state) "\"" name "\": {\"name\": \"" name "\", \"nodeid\": " #id ", \"state\": \"" state "\"}"
#define ONE                     BROKER("a:9092/1", 1, "UP")
#define TWO                     BROKER("b:9092/2", 2, "UP")
#define GROUP                   "GroupCoordinator"

Test(source_statistics, counts_the_coordinators_connection_with_its_broker)
{
    cr_expect_eq(brokers_up(ONE ", " BROKER(GROUP, 1, "UP")), 1);
    cr_expect_eq(brokers_up(BROKER(GROUP, 1, "UP") ", " ONE), 1);
    cr_expect_eq(brokers_up(ONE ", " TWO ", " BROKER(GROUP, 2, "UP")), 2);
    cr_expect_eq(brokers_up(ONE ", " BROKER(GROUP, 2, "UP")), 2, "only by way of the coordinator's connection it is up");
}

Test(source_statistics, counts_a_bootstrap_address_only_where_no_broker_is_known_better)
{
    cr_expect_eq(brokers_up(BROKER("a:9092/bootstrap", -1, "UP")), 1);
    cr_expect_eq(brokers_up(BROKER("a:9092/bootstrap", -1, "UP") ", " BROKER("b:9092/bootstrap", -2, "UP")), 1);
    cr_expect_eq(brokers_up(BROKER("a:9092/bootstrap", -1, "UP") ", " ONE ", " TWO), 2);
}

Test(source_statistics, counts_no_connection_that_is_down)
{
    cr_expect_eq(brokers_up(""), 0);
    cr_expect_eq(brokers_up(BROKER("a:9092/1", 1, "DOWN") ", " BROKER(GROUP, 1, "INIT")), 0);
    cr_expect_eq(brokers_up(BROKER("a:9092/1", 1, "DOWN") ", " BROKER(GROUP, 1, "UP") ", " TWO), 2);
    cr_expect_eq(brokers_up(BROKER("a:9092/1", 1, "TRY_CONNECT") ", " BROKER("b:9092/2", 2, "AUTH_LEGACY")), 0);
}

Test(source_statistics, leaves_what_it_had_behind_what_cannot_be_read)
{
    struct source_statistics statistics = {.is_known = true, .brokers_up = 3};
    source_statistics_read(&statistics, "{\"brok", 6);
    cr_expect_eq(statistics.brokers_up, 3);
}

Test(source_statistics, counts_the_topics_partitions_and_not_where_librdkafka_keeps_what_has_none)
{
    static const char json[] =
        "{\"topics\": {\"events\": {\"partitions\": {\"0\": {\"fetchq_cnt\": 2}, \"1\": {\"fetchq_cnt\": 3}, "
        "\"2\": {\"unknown\": true}, \"-1\": {\"fetchq_cnt\": 0}}}}, \"brokers\": {}}";
    struct source_statistics statistics = {0};
    source_statistics_read(&statistics, json, sizeof json - 1);
    cr_expect_eq(statistics.topic_partitions, 2);
    cr_expect_eq(statistics.queue_messages, 5);
}
