/* fork_safety.h - librdkafka's threads in a process that forks, so that its child can have a producer of its own. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_FORK_SAFETY_H
#define TALLYMILL_PRODUCER_LIBRARY_FORK_SAFETY_H

#include <netdb.h>

#include <librdkafka/rdkafka.h>

/* For a conf that a handle is about to be made of. From then on fork() waits, for up to a fifth of a second, for what its threads
 * do with locks of other libraries. */
void fork_safety_watch(rd_kafka_conf_t *conf);

/* getaddrinfo(3), likewise. Any thread. */
int fork_safety_look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found);

#endif
