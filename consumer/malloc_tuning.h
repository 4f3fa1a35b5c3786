/* malloc_tuning.h - how malloc behaves in a process in which one thread allocates what another one frees. */
#ifndef TALLYMILL_CONSUMER_MALLOC_TUNING_H
#define TALLYMILL_CONSUMER_MALLOC_TUNING_H

/* Call first in main(), before any thread. Without effect where the C library is not glibc. */
void malloc_tuning_apply(void);

#endif
