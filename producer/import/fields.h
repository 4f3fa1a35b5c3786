/* fields.h - the names that the fields of files were seen to have, to suggest one where a name was mistaken. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_FIELDS_H
#define TALLYMILL_PRODUCER_IMPORT_FIELDS_H

#include <stddef.h>

enum { FIELDS_MAX = 256 };

/* Zero is a start. */
struct fields {
    char *names[FIELDS_MAX]; /* owned */
    size_t count;
};

/* Once each; those beyond FIELDS_MAX are not kept. */
void fields_add(struct fields *fields, const char *name, size_t length);
void fields_reset(struct fields *fields);

/* The name with the same letters and digits, in whatever case ("Event Name" for event_name), or NULL. */
const char *fields_alike(const struct fields *fields, const char *name);

/* The name that was probably meant: one that is alike, else the nearest. NULL: none is near. */
const char *fields_nearest(const struct fields *fields, const char *name);

/* Where a file has one field only: what in its name may have been meant to part it; 0: nothing. */
char fields_delimiter(const char *name);

enum { FIELDS_DELIMITER_BYTES = 8 };
/* It as --delimiter takes it, in a shell. Returns word. */
const char *fields_delimiter_word(char word[FIELDS_DELIMITER_BYTES], char delimiter);

#endif
