/* place.c - see place.h. Nothing is guessed: "-7" must not mean the end of a log, whose unread events a reset gives up. */
#include "operator/place.h"

#include <string.h>

static bool copy_digits(const char *text, size_t length, char *to, size_t size)
{
    if (length == 0 || length >= size || strspn(text, "0123456789") < length) {
        return false;
    }
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

bool place_parse(const char *text, struct place *place)
{
    *place = (struct place){.is_end = false};
    const char *colon = strchr(text, ':');
    const size_t length = colon ? (size_t)(colon - text) : strlen(text);
    if (length > 9 || !copy_digits(text, length, place->topic_partition, sizeof place->topic_partition)) {
        return false;
    }
    place->is_end = colon && strcmp(colon + 1, "end") == 0;
    return !colon || place->is_end ||
           (strlen(colon + 1) <= 18 && copy_digits(colon + 1, strlen(colon + 1), place->offset, sizeof place->offset));
}
