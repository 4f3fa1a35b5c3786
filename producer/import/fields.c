/* fields.c - see fields.h. */
#include "producer/import/fields.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/nearest.h"

void fields_add(struct fields *fields, const char *name, size_t length)
{
    for (size_t i = 0; i < fields->count; i++)
        if (strlen(fields->names[i]) == length && memcmp(fields->names[i], name, length) == 0)
            return;
    if (fields->count < FIELDS_MAX && (fields->names[fields->count] = strndup(name, length)) != NULL)
        fields->count++;
}

void fields_reset(struct fields *fields)
{
    while (fields->count > 0)
        free(fields->names[--fields->count]);
}

/* "Event Name", "event-name" and "eventName" are the same. */
static bool is_alike(const char *one, const char *other)
{
    for (;; one++, other++) {
        while (*one != '\0' && !isalnum((unsigned char)*one))
            one++;
        while (*other != '\0' && !isalnum((unsigned char)*other))
            other++;
        if (tolower((unsigned char)*one) != tolower((unsigned char)*other))
            return false;
        if (*one == '\0')
            return true;
    }
}

const char *fields_alike(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (is_alike(fields->names[i], name))
            return fields->names[i];
    return NULL;
}

const char *fields_nearest(const struct fields *fields, const char *name)
{
    const char *alike = fields_alike(fields, name);
    return alike != NULL ? alike : nearest_word(name, (const char *const *)fields->names, fields->count);
}

char fields_delimiter(const char *name)
{
    const char *delimiter = strpbrk(name, ";\t|,^~\x01\x1f");
    return delimiter == NULL ? '\0' : *delimiter;
}

const char *fields_delimiter_word(char word[FIELDS_DELIMITER_BYTES], char delimiter)
{
    if (delimiter == '\t')
        return strcpy(word, "tab");
    snprintf(word, FIELDS_DELIMITER_BYTES, delimiter < ' ' ? "$'\\x%02x'" : "'%c'", delimiter);
    return word;
}
