/* What our login may do, asked of brokers that are slow to answer. */
#include <criterion/criterion.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka_rights.h"

/* The mock brokers of releases before this one know no DescribeGroups, and a question that a broker does not know ends the process
 * there, or hangs in rd_kafka_destroy (rd_kafka_admin_coord_request gives its request back twice). Real brokers know it. */
enum { ASK_MS = 1500, COORDINATOR_UP_MS = 4000, MOCK_KNOWS_GROUPS = 0x020f01ff };

static rd_kafka_conf_t *quiet_conf(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    return conf;
}

/* The group's coordinator is away while we ask, and comes back when we have given up (librdkafka ended the process then). */
Test(kafka_rights, a_coordinator_that_comes_late_ends_nobody)
{
    if (rd_kafka_version() < MOCK_KNOWS_GROUPS)
        cr_skip_test("librdkafka %s: its mock brokers know no DescribeGroups", rd_kafka_version_str());
    char why[256];
    rd_kafka_t *owner = rd_kafka_new(RD_KAFKA_PRODUCER, quiet_conf(), why, sizeof why);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 2);
    cr_assert_eq(rd_kafka_mock_coordinator_set(cluster, "group", "workers", 2), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_mock_broker_set_down(cluster, 2);

    rd_kafka_conf_t *conf = quiet_conf();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), why, sizeof why);
    rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", why, sizeof why);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    struct error err = {0};
    cr_assert_not(kafka_rights_group(handle, "workers", RD_KAFKA_ACL_OPERATION_READ, ASK_MS, &err));
    cr_assert_eq(err.kind, ERROR_RETRY, "%s", err.text);
    cr_assert(strstr(err.text, "group workers"), "%s", err.text);

    rd_kafka_mock_broker_set_up(cluster, 2);
    for (const int64_t until_us = clock_now_us() + COORDINATOR_UP_MS * INT64_C(1000); clock_now_us() < until_us;)
        rd_kafka_poll(handle, 100);
    rd_kafka_destroy(handle);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(owner);
}
