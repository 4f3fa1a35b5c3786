/* advise_rules.h - what the facts say by the plan's thresholds, tables and phases. No I/O; the plan's words stand in the source,
 * once. */
#ifndef TALLYMILL_OPERATOR_ADVISE_RULES_H
#define TALLYMILL_OPERATOR_ADVISE_RULES_H

#include <stdbool.h>

#include <jansson.h>

/* One object: "phase" (null where it hangs on what is not known), "phase_reason", "matrix", "volume", "triggers", "alerts",
 * "edges", "phase_in_place", "actions". The caller owns it. NULL without memory. */
json_t *advise_rules(const json_t *facts);

/* Whether an alert of that advice fired. */
bool advise_has_alert(const json_t *advice);

#endif
