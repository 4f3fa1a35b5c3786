/* oracle.h - the rules of schemas/wire.md, applied to what msgpack-c unpacked. Shares no code with the reader.
 *
 * The reader under test walks bytes; this walks msgpack-c's tree, and knows which reasons an event may be refused for: none, one or
 * several. Slow and plain on purpose: the only thing asked of it is to be right.
 */
#ifndef TALLYMILL_FUZZ_ORACLE_H
#define TALLYMILL_FUZZ_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msgpack.h>

#include "common/reason.h"

struct catalogue;

struct oracle_window {
    int64_t oldest_us, newest_us;
};

/* What the tree says of the event. Texts point into the tree. */
struct oracle_event {
    uint64_t broken; /* bit 1 << reason for each rule that is broken; of a map with more than 500 keys not every repeat is seen */
    const msgpack_object *name, *category, *session, *user, *internal, *data; /* NULL: absent */
    uint8_t id[16];
    int64_t created_at_us;
    bool has_unknown_key;
    bool is_unknown_event;
    bool breaks_attributes;
    const char *listed_category; /* of the catalogue, NULL: an unknown event */
};

/* Fills event from the root of the tree. */
void oracle_judge(struct oracle_event *event, const msgpack_object *root, const struct oracle_window *window,
                  const struct catalogue *catalogue);

/* The time of a timestamp extension in Unix microseconds; the reason it is none, else REASON_NONE. */
enum reason oracle_time(const msgpack_object *object, int64_t *wall_us);

/* Is this pair of the event's top level one that no field is named after? */
bool oracle_is_unknown(const msgpack_object_kv *pair);

/* Whether some array or map of the value declares more items than bytes follow, and so many that msgpack-c would reserve a lot. */
enum { ORACLE_LARGEST_COUNT = 1000 };
bool oracle_declares_too_much(const uint8_t *at, const uint8_t *end);

#endif
