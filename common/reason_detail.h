/* reason_detail.h - where an event was refused, in words: what stands in a dead letter beside its reason.
 *
 * Never holds input bytes: a refused event may hold anything, and its detail is shown to people.
 */
#ifndef TALLYMILL_COMMON_REASON_DETAIL_H
#define TALLYMILL_COMMON_REASON_DETAIL_H

#include <stddef.h>
#include <stdint.h>

#include "common/reason.h"

enum { REASON_DETAIL_ROOM = 96 };

struct reason_place {
    const uint8_t *value; /* the message's; NULL: a tombstone */
    size_t length;        /* of it, in bytes */
    size_t at;            /* the byte at which the reading stopped */
    int field;            /* the field under way, of enum event_key; KEY_COUNT: an unknown key; -1: none */
};

/* In words what concerns the value as a whole; else the byte at which it was noticed, and the key of the field. */
void reason_detail(char detail[REASON_DETAIL_ROOM], enum reason reason, const struct reason_place *place);

#endif
