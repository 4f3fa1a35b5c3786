/* failpoint.h - labelled steps at which a test may end, stop or abort the process.
 *
 * Compiled to nothing unless TALLYMILL_FAILPOINTS is defined (a CMake option; no release has it).
 * Environment: TALLYMILL_FAILPOINT="NAME:ACTION[:N],..." with ACTION exit (_exit(86)), stop (SIGSTOP to itself) or abort; it acts
 * once, when the step is reached for the N-th time, or, for steps that carry a counter, when the counter reaches N.
 */
#ifndef TALLYMILL_COMMON_FAILPOINT_H
#define TALLYMILL_COMMON_FAILPOINT_H

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

#endif
