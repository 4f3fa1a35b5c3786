/* A refusal waits for the worker, and is no line of its own; what is none is told, of a message once while it lasts. */
#include <string.h>

#include <criterion/criterion.h>

#include "common_log_captured.h"
#include "consumer/source_refusal.h"

static struct source_refusals refusals;
static struct source_refusal met;
static int a_topic;
static char said[] = "said so";

static void begin(void)
{
    log_captured_begin();
    refusals = (struct source_refusals){0};
}

static void polled(rd_kafka_resp_err_t code, bool is_of_topic)
{
    rd_kafka_message_t message = {.err = code, .payload = said, .len = sizeof said - 1};
    message.rkt = is_of_topic ? (rd_kafka_topic_t *)&a_topic : NULL; /* looked at, not used */
    source_refusal_polled(&refusals, &message);
}

static bool is_met(enum source_refused kind, rd_kafka_resp_err_t code)
{
    return source_refusal_take(&refusals, kind, &met) && met.code == code && strcmp(met.said, said) == 0;
}

Test(source_refusal, is_of_the_topic_or_the_group_by_its_code, .init = begin)
{
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, said);
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, said);
    cr_expect(is_met(SOURCE_REFUSED_TOPIC, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
    cr_expect(is_met(SOURCE_REFUSED_GROUP, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED));
    polled(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, false);
    polled(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, true);
    cr_expect(is_met(SOURCE_REFUSED_TOPIC, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
    cr_expect(is_met(SOURCE_REFUSED_GROUP, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED));
    cr_expect_eq(log_captured_count("msg="), 0, "the worker tells it");
}

Test(source_refusal, of_a_message_about_no_topic_that_no_waiting_mends_is_of_the_group, .init = begin)
{
    polled(RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, false);
    cr_expect(is_met(SOURCE_REFUSED_GROUP, RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED));
    cr_expect_eq(log_captured_count("msg="), 0);
    polled(RD_KAFKA_RESP_ERR__TRANSPORT, false);
    polled(RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, true);
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, said);
    for (int kind = 0; kind < SOURCE_REFUSED_KINDS; kind++)
        cr_expect_not(source_refusal_take(&refusals, kind, &met));
    cr_expect_eq(log_captured_count("level=warn"), 2, "the code of the last was told already");
}

Test(source_refusal, counts_once_and_the_latest, .init = begin)
{
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "said before");
    polled(RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, false);
    cr_expect(is_met(SOURCE_REFUSED_GROUP, RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED));
    cr_expect_not(source_refusal_take(&refusals, SOURCE_REFUSED_GROUP, &met));
}

Test(source_refusal, leaves_a_message_that_is_none_one_line_while_it_lasts, .init = begin)
{
    for (int i = 0; i < 3; i++)
        polled(RD_KAFKA_RESP_ERR__TRANSPORT, false);
    cr_expect_eq(log_captured_count("level=warn msg=\"Kafka consumer\" code=_TRANSPORT error=\"said so\""), 1);
    polled(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, true);
    source_refusal_forget(&refusals);
    cr_expect_not(source_refusal_take(&refusals, SOURCE_REFUSED_TOPIC, &met));
    polled(RD_KAFKA_RESP_ERR__TRANSPORT, false);
    cr_expect_eq(log_captured_count("msg="), 1, "what was told stays so");
    polled(RD_KAFKA_RESP_ERR__RESOLVE, false);
    polled(RD_KAFKA_RESP_ERR__TRANSPORT, false);
    cr_expect_eq(log_captured_count("msg="), 2, "another code is news, and the first is none again");
}

Test(source_refusal, leaves_what_was_called_back_one_line_while_it_lasts, .init = begin)
{
    for (int i = 0; i < 3; i++) {
        source_refusal_called(&refusals, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, said);
        source_refusal_called(&refusals, (rd_kafka_resp_err_t)32000, said); /* of a broker newer than this client */
    }
    cr_expect_eq(log_captured_count("level=warn msg=\"Kafka client\" code=_CRIT_SYS_RESOURCE error=\"said so\""), 1);
    cr_expect_eq(log_captured_count("msg="), 2);
}

Test(source_refusal, leaves_why_a_broker_is_not_reached_to_who_explains_it, .init = begin)
{
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR__SSL, said);
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR__TRANSPORT, said);
    source_refusal_called(&refusals, RD_KAFKA_RESP_ERR__AUTHENTICATION, said);
    cr_expect_eq(log_captured_count("msg="), 0);
}
