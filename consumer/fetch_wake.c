/* fetch_wake.c - see fetch_wake.h. */
#include "fetch_wake.h"

#include <stdlib.h>

bool fetch_wake_has_property(void)
{
    char why[128];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const bool has = rd_kafka_conf_set(conf, FETCH_WAKE_PROPERTY, FETCH_WAKE_MS, why, sizeof why) == RD_KAFKA_CONF_OK;
    rd_kafka_conf_destroy(conf);
    return has;
}

/* However small an operator makes the queue, a request is not worth less than this. */
enum { FEWEST_BYTES = 64 << 10, FEWEST_MESSAGES = 1000 };

static int64_t quarter_of(const rd_kafka_conf_t *conf, const char *property, int64_t unit, int64_t fewest)
{
    char value[32];
    size_t bytes = sizeof value;
    const int64_t whole = rd_kafka_conf_get(conf, property, value, &bytes) == RD_KAFKA_CONF_OK ? strtoll(value, NULL, 10) * unit : 0;
    return whole / 4 > fewest ? whole / 4 : fewest;
}

void fetch_wake_init(struct fetch_wake *wake, const rd_kafka_conf_t *conf)
{
    *wake = (struct fetch_wake){.is_needed = !fetch_wake_has_property(),
                                .every_bytes = quarter_of(conf, "queued.max.messages.kbytes", 1024, FEWEST_BYTES),
                                .every_messages = quarter_of(conf, "queued.min.messages", 1, FEWEST_MESSAGES)};
}

bool fetch_wake_is_due(struct fetch_wake *wake, size_t bytes)
{
    wake->bytes += (int64_t)bytes;
    wake->messages++;
    return wake->is_needed && (wake->bytes >= wake->every_bytes || wake->messages >= wake->every_messages);
}

void fetch_wake_dry(struct fetch_wake *wake)
{
    wake->bytes = wake->messages = 0;
}

void fetch_wake_send(struct fetch_wake *wake, rd_kafka_t *handle, rd_kafka_topic_partition_list_t *partitions)
{
    enum { DO_NOT_WAIT_MS = 0 };
    fetch_wake_dry(wake);
    for (int i = 0; i < partitions->cnt; i++)
        partitions->elems[i].offset = RD_KAFKA_OFFSET_END; /* the cheapest question: where the log ends */
    rd_kafka_offsets_for_times(handle, partitions, DO_NOT_WAIT_MS);
}
