/* publish_oauth.c - a producer whose tokens the application brings. Usage: publish_oauth BOOTSTRAP TOPIC CA PRINCIPAL TOKEN SECONDS
 * COUNT Waits until the token was asked for a second time (at four fifths of its life), and publishes before and after that. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <tallymill/producer.h>
#include <time.h>

struct identity {
    const char *principal, *token;
    int seconds, asked, acknowledged, failed;
};

static void on_token(void *context, struct tally_producer *producer, const char *config)
{
    struct identity *identity = context;
    struct tally_error err = TALLY_ERROR_INIT;
    (void)config;
    identity->asked++;
    if (tally_oauth_token(producer, identity->token, (int64_t)(time(NULL) + identity->seconds) * 1000000, identity->principal, NULL,
                          &err) != TALLY_OK)
        tally_oauth_failed(producer, err.text);
}

static void on_delivered(void *context, const struct tally_delivery *delivery)
{
    struct identity *identity = context;
    identity->acknowledged += delivery->error == NULL;
    identity->failed += delivery->error != NULL;
}

static void on_log(void *context, int level, const char *text)
{
    (void)context;
    if (level <= 4)
        fprintf(stderr, "%s\n", text);
}

static bool publish(struct tally_producer *producer, int count)
{
    struct tally_event *event = tally_event_new();
    struct tally_error err = TALLY_ERROR_INIT;
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        tally_event_begin(event, "login");
        ok = tally_publish(producer, event, &err) == TALLY_OK;
    }
    tally_event_free(event);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc < 8)
        return 2;
    struct identity identity = {.principal = argv[4], .token = argv[5], .seconds = atoi(argv[6])};
    const struct tally_setting settings[] = {{"kafka.bootstrap.servers", argv[1]},
                                             {"topics.events", argv[2]},
                                             {"kafka.security.protocol", "SASL_SSL"},
                                             {"kafka.ssl.ca.location", argv[3]},
                                             {"kafka.sasl.mechanism", "OAUTHBEARER"},
                                             {"kafka.message.timeout.ms", "15000"},
                                             {NULL, NULL}};
    struct tally_hooks hooks = TALLY_HOOKS_INIT;
    hooks.delivered = on_delivered;
    hooks.log = on_log;
    hooks.context = &identity;
    hooks.token = on_token;
    hooks.is_polled = true;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, &hooks, &err);
    int loop = epoll_create1(0), count = atoi(argv[7]);
    struct epoll_event watched = {.events = EPOLLIN}, ready;
    if (producer == NULL || loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, tally_poll_fd(producer), &watched) != 0 ||
        !publish(producer, count)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const time_t deadline = time(NULL) + 60;
    bool is_again = false;
    while (identity.acknowledged + identity.failed < 2 * count && time(NULL) < deadline) {
        if (epoll_wait(loop, &ready, 1, 1000) == 1)
            tally_poll(producer);
        if (!is_again && (identity.asked > 1 || identity.failed > 0)) {
            is_again = true;
            publish(producer, count);
        }
    }
    bool ok = tally_close(producer, 20000, NULL);
    printf("%d asked, %d acknowledged, %d failed\n", identity.asked, identity.acknowledged, identity.failed);
    return ok ? 0 : 1;
}
