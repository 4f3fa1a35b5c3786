/* bench_event.h - the event that the drivers of the benches publish, and its bytes as the library encodes it. One thread. */
#ifndef TALLYMILL_BENCH_EVENT_H
#define TALLYMILL_BENCH_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include <tallymill/producer.h>

enum { BENCH_SAMPLES = 4096, BENCH_SAMPLE_BYTES = 1024 };

struct bench_sample {
    uint8_t value[BENCH_SAMPLE_BYTES];
    char key[64];
    size_t value_length, key_length;
};

extern struct bench_sample bench_samples[BENCH_SAMPLES];

/* A finished generation, sixteen attributes on three levels; `number` decides the values. */
void bench_event_build(struct tally_event *event, unsigned number);

/* Fills bench_samples with the messages of the events 0 to BENCH_SAMPLES - 1. Ends the process where it cannot. */
void bench_samples_make(void);

#endif
