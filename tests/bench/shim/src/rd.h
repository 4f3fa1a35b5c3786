/* rd.h - what rdkafka_performance.c uses of librdkafka's private headers, so that it builds from the example that the package
 * installs. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <inttypes.h>
#include <unistd.h>
#include <assert.h>
#include <getopt.h>

typedef int64_t rd_ts_t;
#define rd_snprintf      snprintf
#define rd_strdup        strdup
#define rd_usleep(us, f) usleep(us)
#define RD_MAX(a, b)     ((a) > (b) ? (a) : (b))
#define RD_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define RD_UNUSED        __attribute__((unused))
#define RD_INLINE        inline
#define RD_NORETURN      __attribute__((noreturn))

static inline rd_ts_t rd_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}
