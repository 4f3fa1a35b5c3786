/* latency.c - see latency.h. */
#include "producer/latency.h"

static unsigned bucket_of(int64_t us)
{
    if (us < 16)
        return us < 0 ? 0 : (unsigned)us;
    unsigned doubling = 63U - (unsigned)__builtin_clzll((uint64_t)us); /* 4 and more */
    unsigned bucket = 16 + (doubling - 4) * 16 + (unsigned)((uint64_t)us >> (doubling - 4) & 15);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The largest time that falls into the bucket. */
static int64_t end_of(unsigned bucket)
{
    if (bucket < 16)
        return bucket;
    unsigned doubling = (bucket - 16) / 16, step = (bucket - 16) % 16;
    return ((INT64_C(16) + step + 1) << doubling) - 1;
}

void latency_add(struct latency *latency, int64_t us)
{
    latency->counts[bucket_of(us)]++;
    latency->total++;
    if (us > latency->max_us)
        latency->max_us = us;
}

int64_t latency_at(const struct latency *latency, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)latency->total), seen = 0;
    if (wanted == 0)
        wanted = 1;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->counts[i];
        if (seen >= wanted && seen > 0)
            return end_of(i) < latency->max_us ? end_of(i) : latency->max_us;
    }
    return latency->max_us;
}
