/* advise_actions.h - what there is to do, with the reason and the statements. No I/O. */
#ifndef TALLYMILL_OPERATOR_ADVISE_ACTIONS_H
#define TALLYMILL_OPERATOR_ADVISE_ACTIONS_H

#include <jansson.h>

/* An array of {"what", "reason", "sql": [statement, ...], "commands": [...]}. phase: that the rules name, 0 where it is not known.
 * The caller owns it. */
json_t *advise_actions(const json_t *facts, int phase);

#endif
