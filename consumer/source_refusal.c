/* source_refusal.c - see source_refusal.h.
 *
 * Rejected: to tell a refusal as it comes. That of a group comes again every other second, and neither says what grants the right:
 * the worker, which tells it, knows the names and asks Kafka when it is over.
 */
#include "consumer/source_refusal.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/kafka.h"
#include "common/log.h"

#define TOLD_AGAIN_US (600 * CLOCK_SECOND_US)

/* SOURCE_REFUSED_KINDS: the code alone says no refusal. */
static enum source_refused kind_of(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED   ? SOURCE_REFUSED_TOPIC
           : code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ? SOURCE_REFUSED_GROUP
                                                                  : SOURCE_REFUSED_KINDS;
}

/* What is about no topic is about the group. */
static enum source_refused kind_of_message(const rd_kafka_message_t *message)
{
    const enum source_refused kind = kind_of(message->err);
    const enum error_kind error = kafka_kind(message->err);
    const bool is_of_group = !message->rkt && (error == ERROR_USAGE || error == ERROR_FATAL);
    return kind == SOURCE_REFUSED_KINDS && is_of_group ? SOURCE_REFUSED_GROUP : kind;
}

static void tell(const char *who, rd_kafka_resp_err_t code, const char *said)
{
    char text[LOG_TEXT_BYTES];
    log_warn(who, "code=%s error=\"%s\"", rd_kafka_err2name(code), log_text(text, said));
}

static void tell_quietly(const char *who, rd_kafka_resp_err_t code, const char *said)
{
    char text[LOG_TEXT_BYTES];
    log_debug(who, "code=%s error=\"%s\"", rd_kafka_err2name(code), log_text(text, said));
}

static void note(struct source_refusals *refusals, enum source_refused kind, const char *who, rd_kafka_resp_err_t code,
                 const char *said)
{
    struct source_refusal *refusal = &refusals->latest[kind];
    refusal->code = code;
    snprintf(refusal->said, sizeof refusal->said, "%s", said);
    tell_quietly(who, code, said);
}

/* A code that we have no place for shares the last one. */
static bool is_news(struct source_refusals *refusals, rd_kafka_resp_err_t code)
{
    const int64_t now_us = clock_now_us();
    const int place = code - RD_KAFKA_RESP_ERR__BEGIN;
    int64_t *told_us = &refusals->told_us[place >= 0 && place < SOURCE_TOLD_CODES ? place : SOURCE_TOLD_CODES - 1];
    if (*told_us != 0 && now_us - *told_us < TOLD_AGAIN_US)
        return false;
    *told_us = now_us;
    return true;
}

/* Why a broker is not reached is in librdkafka's log, too, at each try, and explained from there (common/kafka_trouble). */
static bool is_of_connection(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__SSL || code == RD_KAFKA_RESP_ERR__RESOLVE ||
           code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
}

void source_refusal_called(struct source_refusals *refusals, rd_kafka_resp_err_t code, const char *said)
{
    static const char who[] = "Kafka client";
    const enum source_refused kind = kind_of(code);
    if (kind != SOURCE_REFUSED_KINDS)
        note(refusals, kind, who, code, said);
    else if (!is_of_connection(code) && is_news(refusals, code))
        tell(who, code, said);
    else
        tell_quietly(who, code, said);
}

void source_refusal_polled(struct source_refusals *refusals, const rd_kafka_message_t *message)
{
    static const char who[] = "Kafka consumer";
    const enum source_refused kind = kind_of_message(message);
    const char *said = rd_kafka_message_errstr(message);
    if (kind != SOURCE_REFUSED_KINDS)
        note(refusals, kind, who, message->err, said);
    else if (is_news(refusals, message->err))
        tell(who, message->err, said);
    else
        tell_quietly(who, message->err, said);
}

bool source_refusal_take(struct source_refusals *refusals, enum source_refused kind, struct source_refusal *refusal)
{
    *refusal = refusals->latest[kind];
    refusals->latest[kind].code = RD_KAFKA_RESP_ERR_NO_ERROR;
    return refusal->code != RD_KAFKA_RESP_ERR_NO_ERROR;
}

void source_refusal_forget(struct source_refusals *refusals)
{
    memset(refusals->latest, 0, sizeof refusals->latest);
}
