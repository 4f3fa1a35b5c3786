/* sample.h - of the records of a file a value of each field: the first that says something. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_SAMPLE_H
#define TALLYMILL_PRODUCER_IMPORT_SAMPLE_H

struct value;
struct value_pool;

/* Adds to `sample`, an object of the pool, what the record has and it has not: no null, no empty text, and of records that do not
 * make it (the first one does) nothing large. */
void sample_add(struct value *sample, struct value_pool *pool, const struct value *record);

#endif
