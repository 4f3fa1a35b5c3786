/* check_kafka.c - see check_kafka.h.
 *
 * Rights are asked for also where the topic cannot be looked at: whoever has to grant two of them wants to hear of both. Where
 * nobody answers at all they are not: each question would wait for its time-out to say the same again. A cluster that has told its
 * id has answered.
 */
#include "common/check_kafka.h"

#include <string.h>

#include "common/check.h"
#include "common/error.h"
#include "common/kafka.h"
#include "common/kafka_reach.h"
#include "common/kafka_rights.h"

enum { TOPIC_MS = 10000, RIGHT_MS = 5000, GROUP_MS = 10000 /* while its coordinator loads */, REACH_MS = 10000 };

static void found_by_reach(void *context, const struct error *err)
{
    check_found(context, err);
}

static bool has_answered(rd_kafka_t *handle)
{
    char *cluster_id = rd_kafka_clusterid(handle, 0); /* 0: what is known already */
    if (cluster_id != NULL)
        rd_kafka_mem_free(handle, cluster_id);
    return cluster_id != NULL;
}

static bool may(rd_kafka_t *handle, const struct check_right *right, struct error *err)
{
    return strcmp(right->resource, "group") == 0 ? kafka_rights_group(handle, right->name, right->operation, GROUP_MS, err)
                                                 : kafka_rights_topic(handle, right->name, right->operation, RIGHT_MS, err);
}

bool check_kafka(struct check *check, rd_kafka_t *handle, const char *topic, const struct check_right *rights, size_t count,
                 int *topic_partitions)
{
    struct error err = {0};
    const bool is_there = kafka_topic_partitions(handle, topic, TOPIC_MS, topic_partitions, &err);
    bool is_good = is_there;
    if (!is_there) {
        char servers[256] = "";
        size_t bytes = sizeof servers;
        rd_kafka_conf_get(rd_kafka_conf(handle), "bootstrap.servers", servers, &bytes);
        error_wrap(&err, "kafka.bootstrap.servers = %.100s", servers);
        check_found(check, &err);
        if (!has_answered(handle))
            return false;
    }
    if (is_there) /* before the rights: the coordinator of a group may be a broker that cannot be reached, and then this says why */
        is_good &= kafka_reach(handle, topic, REACH_MS, found_by_reach, check);
    for (size_t i = 0; i < count; i++)
        is_good &= may(handle, &rights[i], &err) || check_found(check, &err);
    return is_good;
}
