/* nearest.h - the word that somebody probably meant: for unknown settings, options and commands. */
#ifndef TALLYMILL_COMMON_NEAREST_H
#define TALLYMILL_COMMON_NEAREST_H

#include <stddef.h>

/* The one of `words` that is nearest to `word` by edit distance, or NULL when none is near enough to suggest. Any thread. */
const char *nearest_word(const char *word, const char *const *words, size_t count);

#endif
