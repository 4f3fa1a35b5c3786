/* failpoint.h - labelled steps at which a test may end, stop or abort the process, and the planted bugs that tests must catch.
 *
 * Compiled to nothing unless TALLYMILL_FAILPOINTS / TALLYMILL_PLANTED_BUGS are defined (CMake options; no release has them).
 * Environment: TALLYMILL_FAILPOINT="NAME:ACTION[:N],..." with ACTION exit (_exit(86)), stop (SIGSTOP to itself) or abort; it acts
 * once, when the step is reached for the N-th time, or, for steps that carry a counter, when the counter reaches N.
 * TALLYMILL_PLANTED_BUG="NAME".
 */
#ifndef TALLYMILL_FAILPOINT_H
#define TALLYMILL_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TALLYMILL_FAILPOINTS
void failpoint_reach(const char *name);
void failpoint_count(const char *name, int64_t counter);
#define FAILPOINT(name)                failpoint_reach(name)
#define FAILPOINT_COUNT(name, counter) failpoint_count(name, counter)
#else
#define FAILPOINT(name)                ((void)0)
#define FAILPOINT_COUNT(name, counter) ((void)(counter))
#endif

#ifdef TALLYMILL_PLANTED_BUGS
bool planted_bug(const char *name);
#else
#define planted_bug(name) false
#endif

#endif
