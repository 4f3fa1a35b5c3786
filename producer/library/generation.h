/* generation.h - in which process are we: that which made a thing, or a child of it after fork()?
 *
 * getpid() would tell the same, for a system call each time.
 */
#ifndef TALLYMILL_PRODUCER_LIBRARY_GENERATION_H
#define TALLYMILL_PRODUCER_LIBRARY_GENERATION_H

/* Counts the forks from the first call of generation_watch on. Any thread. */
void generation_watch(void);
unsigned generation_now(void);

#endif
