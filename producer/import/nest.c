/* nest.c - see nest.h.
 *
 * The text is looked at, not its values: where it is too long to be a record there are none, and that is when the advice is needed
 * most.
 */
#include "producer/import/nest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 2 };

struct key {
    const char *text;
    size_t length;
};

struct place {
    const char *text;
    size_t length;
    size_t objects, arrays;      /* open around what is looked at; nothing inside an array is counted */
    struct key keys[LEVELS + 1]; /* the last one of each level, from 1 */
};

/* The end of the text whose quote is at `at`. */
static size_t skip_text(const struct place *place, size_t at)
{
    for (at++; at < place->length && place->text[at] != '"'; at++)
        at += place->text[at] == '\\';
    return at < place->length ? at + 1 : place->length;
}

static size_t skip_blanks(const struct place *place, size_t at)
{
    while (at < place->length && isspace((unsigned char)place->text[at]))
        at++;
    return at;
}

/* A key that stands in a path as it is. */
static bool is_plain(const struct key *key)
{
    for (size_t i = 0; i < key->length; i++)
        if (!isalnum((unsigned char)key->text[i]) && key->text[i] != '_')
            return false;
    return key->length > 0 && key->length < NEST_PATH_BYTES / 2 - 2 && !isdigit((unsigned char)*key->text);
}

static bool write_path(const struct place *place, char path[NEST_PATH_BYTES])
{
    size_t used = 0;
    for (size_t i = 1; i <= place->objects; i++) {
        if (!is_plain(&place->keys[i]))
            return false;
        used += (size_t)snprintf(path + used, NEST_PATH_BYTES - used, ".%.*s", (int)place->keys[i].length, place->keys[i].text);
    }
    return true;
}

/* Is the text from `at` to `end` the key of an array of objects? */
static bool is_key_of_array(struct place *place, size_t at, size_t end)
{
    const size_t colon = skip_blanks(place, end);
    if (place->arrays > 0 || place->objects == 0 || place->objects > LEVELS || colon >= place->length || place->text[colon] != ':')
        return false;
    place->keys[place->objects] = (struct key){place->text + at + 1, end - at - 2};
    const size_t value = skip_blanks(place, colon + 1), item = skip_blanks(place, value + 1);
    return item < place->length && place->text[value] == '[' && place->text[item] == '{';
}

static void count_bracket(struct place *place, char byte)
{
    if (byte == '[')
        place->arrays++;
    else if (byte == ']' && place->arrays > 0)
        place->arrays--;
    else if (byte == '{' && place->arrays == 0)
        place->objects++;
    else if (byte == '}' && place->arrays == 0 && place->objects > 0)
        place->objects--;
}

bool nest_find(const char *text, size_t length, char path[NEST_PATH_BYTES])
{
    struct place place = {.text = text, .length = length};
    for (size_t at = 0; at < length;) {
        if (text[at] != '"') {
            count_bracket(&place, text[at++]);
            continue;
        }
        const size_t end = skip_text(&place, at);
        if (is_key_of_array(&place, at, end) && write_path(&place, path))
            return true;
        at = end;
    }
    return false;
}
