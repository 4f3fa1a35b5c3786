/* value_match.h - are two values the same? What is_taken is no part of them. */
#ifndef TALLYMILL_FUZZ_VALUE_MATCH_H
#define TALLYMILL_FUZZ_VALUE_MATCH_H

#include <stdbool.h>

struct value;

/* Types, numbers to the bit, texts to the byte, entries in order. */
bool value_match(const struct value *one, const struct value *other);

#endif
