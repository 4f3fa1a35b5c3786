/* kafka_version.h - whether librdkafka is one that ours runs on.
 *
 * CMake asks for it too (cmake/librdkafka.cmake); a shared library that is older than the one built with is noticed here, at the
 * start.
 */
#ifndef TALLYMILL_COMMON_KAFKA_VERSION_H
#define TALLYMILL_COMMON_KAFKA_VERSION_H

#include <stdbool.h>

#include "common/error.h"

/* 0xMMmmrrxx, as rd_kafka_version() returns it: 2.6.1. Before that a client's nonce is sent twice in a SASL/SCRAM login, which
 * brokers refuse since the fix of CVE-2024-56128; before 2.3 there is no way to ask for many offsets at once, or for the id of a
 * topic. */
#define KAFKA_VERSION_LEAST 0x020601ff

/* ERROR_USAGE with the reason and what to do. Pass rd_kafka_version() and rd_kafka_version_str(). */
MUST_CHECK bool kafka_version_check(int version, const char *name, struct error *err);

#endif
