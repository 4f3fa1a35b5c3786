/* checker.h - would the workers store these bytes as an event? Asked of their own reader (common/transcode.h), so that there are no
 * two sets of rules. Any thread.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_CHECKER_H
#define TALLYMILL_PRODUCER_LIBRARY_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tallymill/producer.h>

#include "common/error.h"

struct catalogue;
struct checker;

/* The catalogue is borrowed and outlives it. What the reader needs is made with the first check. NULL: no memory. */
struct checker *checker_new(const struct catalogue *catalogue, bool is_unknown_event_refused);
void checker_free(struct checker *checker);

/* TALLY_OK; TALLY_INVALID with the reason that a dead letter would have, and where; TALLY_FAILED: no memory. */
MUST_CHECK enum tally_code checker_check(struct checker *checker, const void *value, size_t length, struct tally_error *err);

#endif
