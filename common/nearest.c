/* nearest.c - see nearest.h.
 *
 * Levenshtein's distance in one row of memory. A suggestion must need fewer than half of the word's characters changed, and three
 * at most: a wild guess is worse than none. Words of more than WORD_BYTES are nobody's typing mistake and get no suggestion.
 */
#include "common/nearest.h"

#include <string.h>

enum { WORD_BYTES = 64, FARTHEST = 3 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[WORD_BYTES + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

const char *nearest_word(const char *word, const char *const *words, size_t count)
{
    size_t length = strlen(word);
    if (length == 0 || length > WORD_BYTES)
        return NULL;
    const char *best = NULL;
    size_t best_distance = smaller(FARTHEST, (length - 1) / 2) + 1;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(words[i]);
        if (other > WORD_BYTES)
            continue;
        size_t d = distance(word, length, words[i], other);
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}
