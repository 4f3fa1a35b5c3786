/* tsan_arena.c - lets Criterion run under the thread sanitizer. Linked into the unit tests of that build alone.
 *
 * Criterion's sandbox shares memory between parent and child at an address that it draws by rand_r(): 0x200000000000 plus up to
 * 2^22 times 16 MiB. Nearly all of that is the sanitizer's shadow, so it gives up after ten draws. Nothing else calls rand_r here:
 * this one draws from where the sanitizer lets programs be and the kernel puts none (executables that may lie anywhere begin at
 * 0x555555554000). Running the tests without Criterion's sandbox instead would not run what the other builds run.
 */
#include <stdlib.h>

enum { FIRST = 0x350000 /* 0x550000000000 */, PLACES = 0x5000 /* up to 0x555000000000 */ };

int rand_r(unsigned *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return FIRST + (int)((*seed >> 8) % PLACES);
}
