/* advise_queries.h - how long the queries of the raw events take, as facts: by what pg_stat_statements has seen, or by trying. One
 * thread.
 */
#ifndef TALLYMILL_OPERATOR_ADVISE_QUERIES_H
#define TALLYMILL_OPERATOR_ADVISE_QUERIES_H

#include <stdbool.h>

#include "common/error.h"

struct asking;

/* is_probe: the plan's four patterns are run. Else names says where pg_stat_statements is found (NULL: nowhere, and it is not
 * known). False only where the connection is gone, or the memory. */
MUST_CHECK bool advise_queries_ask(struct asking *asking, bool is_probe, const char *names, struct error *err);

#endif
