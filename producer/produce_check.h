/* produce_check.h - `tallymill-produce --check`: what a run would meet, asked without doing it. Main thread. */
#ifndef TALLYMILL_PRODUCER_PRODUCE_CHECK_H
#define TALLYMILL_PRODUCER_PRODUCE_CHECK_H

struct settings;

/* Tells all that is wrong with catalogue, spool, Kafka, topic and rights at once; sends nothing, and has Kafka make no producer id.
 * The exit code. */
int produce_check(const struct settings *settings);

#endif
