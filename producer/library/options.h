/* options.h - the settings of tally_open, read: ours as values, kafka.* as a configuration for librdkafka. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_OPTIONS_H
#define TALLYMILL_PRODUCER_LIBRARY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "producer/library/spool.h"

struct options {
    const char *topic, *catalogue_file; /* borrowed from the settings */
    bool is_unknown_event_refused;
    int publish_timeout_ms;
    size_t queue_bytes;
    size_t poll_bytes;          /* of reports that wait for tally_poll */
    size_t message_bytes;       /* kafka.message.max.bytes: key and value together */
    struct spool_options spool; /* .directory is NULL without a spool */
    rd_kafka_conf_t *conf;      /* owned: options_reset frees it unless it was taken and set to NULL */
};

/* False: *err is TALLY_INVALID and names the setting; nothing is left to free. */
MUST_CHECK bool options_read(struct options *options, const struct tally_setting *settings, struct tally_error *err);
/* One setting alone: does a producer have it, and can it have this value? False: *err is TALLY_INVALID. */
MUST_CHECK bool options_try(const struct tally_setting *setting, struct tally_error *err);
void options_reset(struct options *options);

#endif
