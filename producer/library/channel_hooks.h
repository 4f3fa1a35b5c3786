/* channel_hooks.h - whom a channel calls, and sizes that its callers share. */
#ifndef TALLYMILL_PRODUCER_LIBRARY_CHANNEL_HOOKS_H
#define TALLYMILL_PRODUCER_LIBRARY_CHANNEL_HOOKS_H

#include <stdint.h>

#include <librdkafka/rdkafka.h>

enum { CHANNEL_BATCH = 1024 /* messages in one call */, CHANNEL_REASON_BYTES = 640 };

/* Each message that was sent comes back once, with the tag that it was sent with: acknowledged (error NULL), or given up, for the
 * reason in `error` (valid during the call). Called inside channel_send (a message that librdkafka refuses), channel_serve and
 * channel_close. */
typedef void channel_delivered(void *context, const rd_kafka_message_t *message, uint64_t tag, const char *error);
/* May come from threads of librdkafka. */
typedef void channel_log(void *context, int level, const char *text);
/* Who is asked for OAUTHBEARER's tokens, inside channel_serve, with the context of channel_open. */
typedef void channel_token_asked(void *context, const char *config);

#endif
