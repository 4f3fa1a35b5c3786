/* verify_uniques.h - the part of `tallymill verify` that compares analytics_daily_uniques: each day with the daily statistics, and
 * random ranges with the raw events. */
#ifndef TALLYMILL_OPERATOR_VERIFY_UNIQUES_H
#define TALLYMILL_OPERATOR_VERIFY_UNIQUES_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct snapshot;

struct uniques_verdict {
    int64_t days, aside; /* compared, and not */
    int64_t ranges;      /* compared */
    int64_t differences;
};

/* Compares every day that the snapshot's tallymill.first_day and last_day name, and `ranges` random ranges of them, each of a
 * random subject, kind and population. What it finds is printed, or with json (an object with the arrays `differences` and
 * `uniques_set_aside`) added there. False: a question failed. */
MUST_CHECK bool verify_uniques(struct snapshot *snapshot, int64_t ranges, json_t *json, struct uniques_verdict *verdict,
                               struct error *err);

#endif
