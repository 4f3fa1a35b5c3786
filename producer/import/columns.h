/* columns.h - which field of a record becomes which column of an event: --map, --const, --default and --rest.
 *
 * Without --map and --rest, fields named like the columns (wire.md) are them; with either, only what is named is taken. One thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_COLUMNS_H
#define TALLYMILL_PRODUCER_IMPORT_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "producer/import/instant.h"

struct tally_event;
struct columns;
struct value;

struct columns *columns_new(void);
void columns_free(struct columns *columns);

/* "COLUMN=FIELD": a column, or event_data.NAME, from a field; on either side a dot leads into nested objects, unless a field's name
 * holds it. ERROR_USAGE. */
MUST_CHECK bool columns_map(struct columns *columns, const char *text, struct error *err);
/* "COLUMN=VALUE": the same text in every event; for event_data.NAME a JSON value where it is one, else text. */
MUST_CHECK bool columns_const(struct columns *columns, const char *text, struct error *err);
/* "COLUMN=VALUE": where a line has no such field, or an empty one. Alone or beside columns_map. */
MUST_CHECK bool columns_default(struct columns *columns, const char *text, struct error *err);
/* "event_data": all other fields go there; "none": they are dropped. */
MUST_CHECK bool columns_rest(struct columns *columns, const char *text, struct error *err);
void columns_time_unit(struct columns *columns, enum time_unit unit);
/* How times of created_at are written (repeatable), and the zone of those without an offset: instant.h. ERROR_USAGE. */
MUST_CHECK bool columns_time_format(struct columns *columns, const char *format, struct error *err);
MUST_CHECK bool columns_time_zone(struct columns *columns, const char *zone, struct error *err);

/* An id that is no UUID becomes one, of version 5: its text in the namespace of the topic (wire.md). */
void columns_id_from_text(struct columns *columns, const char *topic);

/* The same options in the same order give the same number: a resumed import must be mapped as it was begun. */
uint64_t columns_fingerprint(const struct columns *columns);

/* --map or --rest was given. */
bool columns_is_mapped(const struct columns *columns);

/* Does the mapping make sense as a whole? ERROR_USAGE. To be called once, before the first columns_fill. */
MUST_CHECK bool columns_check(struct columns *columns, struct error *err);

/* A field of a CSV's header, or of one of the first records. */
void columns_see_field(struct columns *columns, const char *name);
void columns_see_record(struct columns *columns, const struct value *object);
/* Every field that was mapped has been seen, or without a mapping event_name. False: ERROR_USAGE, such as "no CSV header has (`who`
 * says it) 'x' ...", with the nearest that was seen. */
MUST_CHECK bool columns_check_fields(const struct columns *columns, const char *who, struct error *err);

/* Something that was dropped from the records so far, as a text to be told once; NULL: nothing new. */
const char *columns_take_notice(struct columns *columns);

/* Makes the event of an object (whose mapped fields are then is_taken). False: ERROR_REJECT with the reason; attributes that do not
 * fit are remembered by the event and told when it is published. */
MUST_CHECK bool columns_fill(struct columns *columns, struct value *object, struct tally_event *event, struct error *err);

#endif
