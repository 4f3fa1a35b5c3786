/* settings_value.h - texts of settings as numbers, checked against the table. Part of settings.c. */
#ifndef TALLYMILL_COMMON_SETTINGS_VALUE_H
#define TALLYMILL_COMMON_SETTINGS_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct setting;

/* Checks `text` against its row of the table. *number is the value of COUNT, BYTES and DURATION (else 0). ERROR_USAGE says what is
 * wrong and what would be right; the caller puts file, line and key in front. */
MUST_CHECK bool settings_value_parse(const struct setting *setting, const char *text, int64_t *number, struct error *err);

/* A text that settings_value_parse() accepted for an AGE, as the begin of a UTC day seen from wall_us. */
int64_t settings_value_age_us(const char *text, int64_t wall_us);

#endif
