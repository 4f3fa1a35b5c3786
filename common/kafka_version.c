/* kafka_version.c - see kafka_version.h. */
#include "common/kafka_version.h"

#include "common/error.h"

bool kafka_version_check(int version, const char *name, struct error *err)
{
    if (version >= KAFKA_VERSION_LEAST)
        return true;
    return error_set(
        err, ERROR_USAGE,
        "librdkafka %s is too old, the least is 2.6.1: before that no SASL/SCRAM login to a present Kafka works; install a newer "
        "librdkafka, or build with -DTALLYMILL_LIBRDKAFKA=bundled",
        name);
}
