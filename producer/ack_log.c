/* ack_log.c - see ack_log.h.
 *
 * Buffered: a line an event at a million events a second must not be a system call each. Killed, the file lacks the last lines, but
 * never holds an id that was not acknowledged, which is what its readers rely on.
 */
#include "producer/ack_log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tallymill/producer.h>

#include "common/error.h"
#include "common/uuid.h"

struct ack_log {
    FILE *file;
    atomic_int failure; /* errno of the last write that failed; flushes come from another thread */
};

struct ack_log *ack_log_open(const char *path, struct error *err)
{
    struct ack_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        error_set(err, ERROR_RETRY, "no memory");
        return NULL;
    }
    log->file = fopen(path, "we");
    if (log->file == NULL) {
        error_set(err, ERROR_USAGE, "cannot write --ack-log %s: %s", path, strerror(errno));
        free(log);
        return NULL;
    }
    return log;
}

void ack_log_add(struct ack_log *log, const struct tally_delivery *delivery)
{
    char id[UUID_TEXT_BYTES];
    if (fprintf(log->file, "%s %d %lld\n", uuid_format(id, delivery->id), (int)delivery->topic_partition,
                (long long)delivery->offset) < 0)
        log->failure = errno;
}

void ack_log_flush(struct ack_log *log)
{
    if (fflush(log->file) != 0)
        log->failure = errno;
}

bool ack_log_close(struct ack_log *log, struct error *err)
{
    if (log == NULL)
        return true;
    ack_log_flush(log);
    if (fclose(log->file) != 0)
        log->failure = errno;
    int failure = log->failure;
    free(log);
    return failure == 0 || error_set(err, ERROR_RETRY, "the --ack-log is not complete: %s", strerror(failure));
}
