/* checker.c - see checker.h.
 *
 * The reader and its output are 600 KB, so there is one of them for each producer, behind a mutex. Events that are built with typed
 * calls never come here: those calls are the check.
 */
#include "producer/library/checker.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/transcode.h"
#include "producer/library/event.h"

struct checker {
    pthread_mutex_t mutex;
    struct transcode_rules rules;
    struct transcoder *transcoder;
    uint8_t *out;
};

struct checker *checker_new(const struct catalogue *catalogue, bool is_unknown_event_refused)
{
    struct checker *checker = calloc(1, sizeof *checker);
    if (checker == NULL)
        return NULL;
    pthread_mutex_init(&checker->mutex, NULL);
    checker->rules = (struct transcode_rules){.oldest_us = EVENT_TIME_FIRST_US,
                                              .newest_us = EVENT_TIME_END_US,
                                              .reject_unknown_events = is_unknown_event_refused,
                                              .catalogue = catalogue};
    return checker;
}

void checker_free(struct checker *checker)
{
    if (checker == NULL)
        return;
    transcoder_free(checker->transcoder);
    free(checker->out);
    pthread_mutex_destroy(&checker->mutex);
    free(checker);
}

static bool is_ready(struct checker *checker)
{
    struct error reason;
    if (checker->out == NULL)
        checker->out = malloc(TRANSCODE_ROOM);
    if (checker->out != NULL && checker->transcoder == NULL)
        checker->transcoder = transcoder_new(&checker->rules, &reason);
    return checker->transcoder != NULL;
}

enum tally_code checker_check(struct checker *checker, const void *value, size_t length, struct tally_error *err)
{
    pthread_mutex_lock(&checker->mutex);
    enum tally_code code;
    struct transcoded result;
    if (!is_ready(checker)) {
        code = tally_error_set(err, TALLY_FAILED, "no memory to check the event");
    } else {
        enum reason reason = transcode(checker->transcoder, value, length, 0, checker->out, &result);
        code = reason == REASON_NONE ? TALLY_OK
                                     : tally_error_set(err, TALLY_INVALID, "the event would be a dead letter: %s (%s)",
                                                       reason_name(reason), transcoder_detail(checker->transcoder));
    }
    pthread_mutex_unlock(&checker->mutex);
    return code;
}
