/* attributes.h - does an event_data agree with the catalogue? Types of the known attributes, and values of the closed lists.
 *
 * Attributes that are absent, nil or not in the catalogue are fine: the catalogue says what a known attribute looks like, not which are there.
 */
#ifndef TALLYMILL_ATTRIBUTES_H
#define TALLYMILL_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_kind;

/* `data` is one whole msgpack value that json_tree_write has accepted. */
bool attributes_agree(const struct event_kind *kind, const uint8_t *data, size_t length);

#endif
