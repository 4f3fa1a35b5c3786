/* fetch_wake.c - see fetch_wake.h. */
#include "fetch_wake.h"

bool fetch_wake_has_property(void)
{
    char why[128];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const bool has = rd_kafka_conf_set(conf, FETCH_WAKE_PROPERTY, FETCH_WAKE_MS, why, sizeof why) == RD_KAFKA_CONF_OK;
    rd_kafka_conf_destroy(conf);
    return has;
}

void fetch_wake_init(struct fetch_wake *wake, int64_t queue_bytes)
{
    *wake = (struct fetch_wake){.every_bytes = fetch_wake_has_property() ? 0 : queue_bytes / 4};
}

bool fetch_wake_is_due(struct fetch_wake *wake, size_t bytes)
{
    wake->taken_bytes += (int64_t)bytes;
    return wake->every_bytes > 0 && wake->taken_bytes >= wake->every_bytes;
}

void fetch_wake_dry(struct fetch_wake *wake)
{
    wake->taken_bytes = 0;
}

void fetch_wake_send(struct fetch_wake *wake, rd_kafka_t *handle, rd_kafka_topic_partition_list_t *partitions)
{
    enum { DO_NOT_WAIT_MS = 0 };
    wake->taken_bytes = 0;
    for (int i = 0; i < partitions->cnt; i++)
        partitions->elems[i].offset = RD_KAFKA_OFFSET_END; /* the cheapest question: where the log ends */
    rd_kafka_offsets_for_times(handle, partitions, DO_NOT_WAIT_MS);
}
