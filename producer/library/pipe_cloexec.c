/* pipe_cloexec.c - pipes that close on exec, for a librdkafka that is linked into ours.
 *
 * It wakes its threads through pipes made with pipe(), which a program that the application starts would inherit, several for each
 * broker. The linker gives its calls to us (--wrap=pipe); a librdkafka of the system's keeps its own.
 */
#include <fcntl.h>
#include <unistd.h>

int __wrap_pipe(int descriptors[2]);

int __wrap_pipe(int descriptors[2])
{
    return pipe2(descriptors, O_CLOEXEC);
}
