/* sink.h - where the events of an import go: to Kafka (sender.h), or to a dry run that only shows them (dry_run.h). */
#ifndef TALLYMILL_PRODUCER_IMPORT_SINK_H
#define TALLYMILL_PRODUCER_IMPORT_SINK_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct tally_event;

/* INVALID: ERROR_REJECT, go on with the next. FAILED: stop. */
enum sink_answer { SINK_SENT, SINK_INVALID, SINK_FAILED };

struct sink {
    void *context;
    /* One event; `done` says how far the import is, for the progress bar. */
    enum sink_answer (*send)(void *context, struct tally_event *event, int64_t done, struct error *err);
    /* Everything sent so far has arrived when this returns true. False: some was given up, or a signal came and it took too long.
     */
    bool (*settle)(void *context, int64_t done, struct error *err);
    /* Before something is written to stderr. */
    void (*clear)(void *context);
};

#endif
