/* line_id.h - the id of an event by the place where it stands: UUID version 5 (RFC 9562 5.5) of a file's identity and a line
 * number.
 *
 * The same line of the same import is the same event however often it is sent. Any thread.
 */
#ifndef TALLYMILL_PRODUCER_IMPORT_LINE_ID_H
#define TALLYMILL_PRODUCER_IMPORT_LINE_ID_H

#include <stddef.h>
#include <stdint.h>

enum { LINE_ID_BYTES = 16 };

/* SHA-1 of the namespace and the name, marked as version 5. */
void line_id_of_name(uint8_t id[LINE_ID_BYTES], const uint8_t space[LINE_ID_BYTES], const char *name, size_t length);

/* The same, the name being the line number in decimal. */
void line_id(uint8_t id[LINE_ID_BYTES], const uint8_t file[LINE_ID_BYTES], uint64_t line);

#endif
