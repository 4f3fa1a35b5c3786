/* latency.h - how long things took, as counts by size: any percentile within 3 %, in 4 KiB, whatever the number. One thread at a
 * time. */
#ifndef TALLYMILL_PRODUCER_LATENCY_H
#define TALLYMILL_PRODUCER_LATENCY_H

#include <stdint.h>

enum { LATENCY_BUCKETS = 16 + 32 * 16 };

struct latency {
    uint64_t counts[LATENCY_BUCKETS]; /* exact up to 15 us, then 16 to each doubling, up to an hour and more */
    uint64_t total;
    int64_t max_us;
};

void latency_add(struct latency *latency, int64_t us);

/* The time that this share (0.99) of all did not exceed; 0 without any. */
int64_t latency_at(const struct latency *latency, double share);

#endif
