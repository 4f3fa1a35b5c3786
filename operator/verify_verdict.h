/* verify_verdict.h - what `tallymill verify` has found out, and how it says so. One thread. */
#ifndef TALLYMILL_OPERATOR_VERIFY_VERDICT_H
#define TALLYMILL_OPERATOR_VERIFY_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "operator/proof.h"
#include "operator/verify_rollups.h"
#include "operator/verify_uniques.h"

struct verify_found {
    int64_t days, days_aside; /* compared; set aside, each by name */
    int64_t differences;      /* of all, each named */
    int64_t pending_rows;     /* of the days asked for, stored, but beyond `folded`: not compared */
    struct rollups_verdict rollups;
    struct uniques_verdict uniques;
};

/* Where looking ended with `err` (or well). is_strict: nothing may be set aside. */
enum proof verify_verdict(const struct verify_found *found, bool is_strict, const struct error *err);

/* One line, the last of the output. */
void verify_verdict_print(const struct verify_found *found, enum proof proof, const struct error *err);

/* The figures as members of the answer, with --json. */
void verify_verdict_add(const struct verify_found *found, json_t *answer);

#endif
