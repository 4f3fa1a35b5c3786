/* ground.h - what --check of a command asks: login, schema, topic, leaders, and the rights that this command needs. Nothing is
 * changed. */
#ifndef TALLYMILL_OPERATOR_GROUND_H
#define TALLYMILL_OPERATOR_GROUND_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

struct check;
struct cli_result;
struct settings;

struct ground {
    const char *program;               /* "tallymill audit" */
    const char *role;                  /* that the command runs with in Postgres */
    const char *topic;                 /* NULL: the command asks Kafka nothing */
    rd_kafka_AclOperation_t operation; /* what it does with the topic */
};

/* Tells all that is wrong, of both servers, and returns the exit code; with 0 it has said that all is in order. */
int ground_check(const struct settings *settings, const struct ground *ground);

/* The same, and what else a command needs, of which `also` tells what is wrong (check_found()). */
int ground_check_also(const struct cli_result *command, const struct ground *ground,
                      bool (*also)(struct check *check, const struct cli_result *command));

#endif
