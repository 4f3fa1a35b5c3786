/* descriptors.h - stdin, stdout and stderr are there, whoever started the program. */
#ifndef TALLYMILL_COMMON_DESCRIPTORS_H
#define TALLYMILL_COMMON_DESCRIPTORS_H

/* Opens those of descriptors 0, 1 and 2 that are closed on /dev/null. The first statement of every main(): the next file or socket
 * would get the free number, and the log be written into it. Ends the process with exit code 1 where /dev/null cannot be opened. */
void descriptors_fill(void);

#endif
