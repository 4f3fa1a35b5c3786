/* finding.h - one damage that audit or verify found, and where it is.
 *
 * The queries of operator/sql that look for damage all answer with the same columns, which are the members here. Of audit's, rows
 * of kind "counted" (damage: how many rows were counted) and "note" (damage: a sentence to tell) are no damage. One thread.
 */
#ifndef TALLYMILL_OPERATOR_FINDING_H
#define TALLYMILL_OPERATOR_FINDING_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <libpq-fe.h>

/* What does not apply is NULL, or -1. Texts are borrowed. */
struct finding {
    const char *kind; /* "hole": a word or two that a program may compare */
    const char *topic;
    int64_t topic_partition;
    int64_t first_offset, next_offset; /* [first_offset, next_offset) */
    int64_t batch_id;
    const char *day;    /* "2026-11-24" */
    const char *damage; /* one sentence */
};

/* A finding without a place. */
struct finding finding_make(const char *kind, const char *damage);

/* A row of a query with the columns kind, topic, topic_partition, first_offset, next_offset, batch_id, day, damage. Its texts are
 * valid until PQclear. */
struct finding finding_of_row(const PGresult *result, int row);

/* "topic T, topic partition 3, offsets 100 to 199, batch 17: DAMAGE" and a newline. */
void finding_print(const struct finding *finding, FILE *out);

/* The same as an object; what does not apply is left out. NULL without memory. */
json_t *finding_json(const struct finding *finding);

#endif
