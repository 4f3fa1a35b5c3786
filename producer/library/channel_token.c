/* channel_token.c - the application's tokens for SASL's OAUTHBEARER, on their way to librdkafka.
 *
 * librdkafka asks each handle's owner in its poll, so a handle that takes another's place asks anew, and only the one in use is
 * given what comes. librdkafka's own thread for such callbacks was rejected: hooks would then run in one more thread.
 */
#include "producer/library/channel.h"
#include "producer/library/channel_struct.h"

enum { EXTENSIONS_MAX = 16, FAILURE_BYTES = 256 };

static void on_token(rd_kafka_t *handle, const char *config, void *context)
{
    struct channel *channel = context;
    (void)handle;
    if (channel->token_asked != NULL)
        channel->token_asked(channel->context, config);
}

void channel_ask_for_tokens(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_token);
}

void channel_tell_token(struct channel *channel, channel_token_asked *asked)
{
    channel->token_asked = asked;
}

enum tally_code channel_token(struct channel *channel, const char *token, int64_t expires_us, const char *principal,
                              const struct tally_setting *extensions, struct tally_error *err)
{
    const char *pairs[2 * EXTENSIONS_MAX];
    size_t count = 0;
    char reason[FAILURE_BYTES];
    for (; extensions != NULL && extensions->key != NULL; extensions++) {
        if (count == 2 * EXTENSIONS_MAX)
            return tally_error_set(err, TALLY_INVALID, "more than %d extensions of a token", EXTENSIONS_MAX);
        pairs[count++] = extensions->key;
        pairs[count++] = extensions->value;
    }
    pthread_rwlock_rdlock(&channel->lock);
    rd_kafka_resp_err_t code =
        rd_kafka_oauthbearer_set_token(channel->handle, token, expires_us / 1000, principal, pairs, count, reason, sizeof reason);
    pthread_rwlock_unlock(&channel->lock);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return TALLY_OK;
    if (code == RD_KAFKA_RESP_ERR__STATE)
        return tally_error_set(err, TALLY_INVALID, "a token is of no use: kafka.sasl.mechanism is not OAUTHBEARER");
    return tally_error_set(err, TALLY_INVALID, "no token that librdkafka takes: %s", reason);
}

bool channel_token_failed(struct channel *channel, const char *reason)
{
    pthread_rwlock_rdlock(&channel->lock);
    rd_kafka_resp_err_t code = rd_kafka_oauthbearer_set_token_failure(channel->handle, reason);
    pthread_rwlock_unlock(&channel->lock);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}
