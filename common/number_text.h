/* number_text.h - whole numbers as a person reads them: "1,234,567", "-12". Any thread. */
#ifndef TALLYMILL_COMMON_NUMBER_TEXT_H
#define TALLYMILL_COMMON_NUMBER_TEXT_H

#include <stdint.h>

enum { NUMBER_TEXT_BYTES = 32 };

/* Returns `buffer`. */
const char *number_text(char buffer[NUMBER_TEXT_BYTES], int64_t number);

#endif
