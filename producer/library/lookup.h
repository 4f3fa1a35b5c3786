/* lookup.h - the address of a broker's name, looked up so that whoever waits for it can go away. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_LOOKUP_H
#define TALLYMILL_PRODUCER_LIBRARY_LOOKUP_H

#include <netdb.h>
#include <stdatomic.h>

/* As getaddrinfo(3), whose answers these are; *found is the caller's, for freeaddrinfo(3). EAI_AGAIN as soon as *is_given_up, which
 * any thread may set: then the look-up goes on by itself, in a thread that nobody waits for, and ends when the resolver gives up.
 */
int lookup(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found,
           const atomic_bool *is_given_up);

#endif
