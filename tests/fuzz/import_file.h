/* import_file.h - one file through the whole of an import but the sending: records, objects, columns, message, and back again. */
#ifndef TALLYMILL_FUZZ_IMPORT_FILE_H
#define TALLYMILL_FUZZ_IMPORT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "producer/import/record.h"

/* Through input.h in two of eight sizes, else without the file. Aborts where something that must hold does not. */
void import_file(enum record_format format, const uint8_t *bytes, size_t size);

/* The same always through input.h: packed, UTF-16, streams of JSON, logs. */
void import_form(enum record_format format, const uint8_t *bytes, size_t size);

/* Aborts when the bytes give other records in one piece than in pieces of 1 to 16 bytes. */
void cut_file(enum record_format format, const uint8_t *bytes, size_t size);

#endif
