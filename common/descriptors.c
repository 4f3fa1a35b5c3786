/* descriptors.c - see descriptors.h. In main() and not before it (a constructor): a library that an application links must leave
 * the application's descriptors alone. */
#include "common/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void descriptors_fill(void)
{
    for (int number = 0; number <= STDERR_FILENO; number++) /* open() gives the lowest free number: those below are taken by now */
        if (fcntl(number, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != number)
            _exit(1);
}
