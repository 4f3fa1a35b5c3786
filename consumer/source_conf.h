/* source_conf.h - what the settings say of Kafka: the consumer's properties, and whether the topic's name is one. */
#ifndef TALLYMILL_CONSUMER_SOURCE_CONF_H
#define TALLYMILL_CONSUMER_SOURCE_CONF_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

struct settings;

/* A new configuration without callbacks, the caller's until rd_kafka_new takes it. NULL: ERROR_USAGE. */
MUST_CHECK rd_kafka_conf_t *source_conf(const struct settings *settings, struct error *err);

/* ERROR_USAGE unless it is made of Kafka's own alphabet: the name goes into SQL text and log lines. */
MUST_CHECK bool source_conf_check_topic(const char *topic, struct error *err);

/* As the operator wrote it, for messages. Borrowed from the settings. */
const char *source_conf_brokers(const struct settings *settings);

#endif
