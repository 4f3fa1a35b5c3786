/* dry_run.h - an import that sends nothing: shows the first events on stdout as they would be sent, and tells which lines would
 * fail. */
#ifndef TALLYMILL_PRODUCER_DRY_RUN_H
#define TALLYMILL_PRODUCER_DRY_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/import/sink.h"
#include "producer/import/outside.h"

struct catalogue;
struct settings;
struct value_pool;

enum { DRY_RUN_SHOWN = 10 };

struct dry_run {
    struct catalogue *catalogue; /* owned */
    struct value_pool *pool;     /* owned; of what is shown */
    bool is_unknown_event_refused;
    uint64_t sent;
    struct outside outside; /* of these */
};

/* False: ERROR_USAGE, the catalogue cannot be read. */
MUST_CHECK bool dry_run_open(struct dry_run *dry_run, const struct settings *settings, struct error *err);
void dry_run_close(struct dry_run *dry_run);

struct sink dry_run_sink(struct dry_run *dry_run);

#endif
