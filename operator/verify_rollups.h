/* verify_rollups.h - the part of `tallymill verify` that compares each rollup with its own query over the raw events. */
#ifndef TALLYMILL_OPERATOR_VERIFY_ROLLUPS_H
#define TALLYMILL_OPERATOR_VERIFY_ROLLUPS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct snapshot;

struct rollups_verdict {
    int64_t compared, aside; /* periods (days or weeks) of a rollup */
    int64_t differences;
};

/* Compares every period that overlaps the days which the snapshot's tallymill.first_day and last_day name. What it finds is
 * printed, or with json (an object with the arrays `differences` and `rollups_set_aside`) added there. False: a question failed. */
MUST_CHECK bool verify_rollups(struct snapshot *snapshot, json_t *json, struct rollups_verdict *verdict, struct error *err);

#endif
