/* advise_facts.h - what `tallymill advise` decides by: the facts of a database, as one flat JSON object that can be saved and given
 * back.
 *
 * A fact that is not known is null. So the rules (advise_rules.h) are tried without ten million rows, and what a database said last
 * month can be asked again today. The caller owns what is returned (json_decref). One thread.
 */
#ifndef TALLYMILL_OPERATOR_ADVISE_FACTS_H
#define TALLYMILL_OPERATOR_ADVISE_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct settings;

/* Asks the database (postgres.dsn), ours or one that has only the plan's table, in one snapshot; with is_probe the plan's four
 * query patterns are run on the raw rows, five times each. NULL: no connection (ERROR_RETRY), or no table that may be read
 * (ERROR_USAGE). What takes longer than its time-out is unknown, and told in "notes". */
MUST_CHECK json_t *advise_facts_ask(const struct settings *settings, bool is_probe, struct error *err);

/* --check: whether there is what advise_facts_ask() needs; *has_schema: it is a database of ours, whose roles say the rest. */
MUST_CHECK bool advise_facts_check(const struct settings *settings, bool *has_schema, struct error *err);

/* Keeps what a run found out about the queries, so that later runs can say "consistently": where the schema is ours and the login
 * may. False with no error: it is not kept. */
MUST_CHECK bool advise_facts_keep(const struct settings *settings, const json_t *facts, struct error *err);

/* None of them known. NULL without memory. */
json_t *advise_facts_new(void);

/* A file as advise_facts_save() writes it. Facts that it does not have are unknown; one that nobody knows, or of another type, is
 * ERROR_USAGE. */
MUST_CHECK json_t *advise_facts_read(const char *path, struct error *err);
MUST_CHECK bool advise_facts_save(const json_t *facts, const char *path, struct error *err);

/* A fact, or -1 where it is not known; a flag is 0 or 1. */
int64_t advise_fact(const json_t *facts, const char *name);
double advise_fact_ms(const json_t *facts, const char *name);
const char *advise_fact_text(const json_t *facts, const char *name); /* "" */

/* Whether the count is so near an edge of the plan's that an estimate will not do: within a tenth of it, or so small that counting
 * costs nothing. */
bool advise_is_near_edge(int64_t events);

#endif
