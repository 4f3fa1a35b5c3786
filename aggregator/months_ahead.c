/* months_ahead.c - see months_ahead.h.
 *
 * No part of the cycle's transaction: ATTACH waits for locks, and a cycle must not.
 */
#include "aggregator/months_ahead.h"

#include "common/session.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"

static const int64_t HOUR_US = 3600 * CLOCK_SECOND_US;
static const int64_t MINUTE_US = 60 * CLOCK_SECOND_US;
static const int64_t NOTE_US = 15 * CLOCK_SECOND_US;
static const int64_t TIMEOUT_US = SESSION_TIMEOUT_S * CLOCK_SECOND_US;

bool months_ahead_make(struct months_ahead *months, struct session *session, int ahead, int64_t now_us, struct error *err)
{
    const bool is_recent = months->made_at_us != 0 && now_us - months->made_at_us < HOUR_US;
    if (is_recent && ahead <= months->made) /* more may be asked for meanwhile: SIGHUP */
        return true;
    months->made_at_us = now_us;
    months->made = ahead;
    for (int i = 0; i <= ahead; i++) {
        int32_t month = clock_month_add(clock_month_of(clock_day_of(clock_wall_us())), i);
        char date[CLOCK_DAY_BYTES];
        clock_format_day(date, month);
        const char *const values[] = {date};
        PGresult *result = session_ask(session, TIMEOUT_US, "SELECT tallymill.make_month($1::date)", 1, values, err);
        if (result && PQgetvalue(result, 0, 0)[0] == 't')
            log_info("month made", "month=%.7s", date);
        PQclear(result);
        if (!result && !postgres_is(err, POSTGRES_REFUSED))
            return false;
        if (!result) {
            log_warn_because(err, "month could not be made, next try in a minute", "month=%.7s", date);
            months->made_at_us = now_us - HOUR_US + MINUTE_US;
            error_clear(err);
        }
    }
    return true;
}

bool months_ahead_note_others(struct months_ahead *months, struct session *session, int64_t now_us, struct error *err)
{
    if (months->noted_at_us != 0 && now_us - months->noted_at_us < NOTE_US)
        return true;
    months->noted_at_us = now_us;
    PGresult *result =
        session_ask(session, TIMEOUT_US, "SELECT to_char(month, 'YYYY-MM'), leaf FROM tallymill.register_months()", 0, NULL, err);
    for (int i = 0; result && i < PQntuples(result); i++) {
        char name[LOG_TEXT_BYTES];
        log_info("a month that was made by hand is read and counted from now on", "month=%s table=\"%s\"", PQgetvalue(result, i, 0),
                 log_text(name, PQgetvalue(result, i, 1)));
    }
    PQclear(result);
    if (result || !postgres_is(err, POSTGRES_REFUSED))
        return result != NULL;
    log_warn_because(err, "months that were made by hand were not looked for, next try in 15 s", NULL);
    error_clear(err);
    return true;
}
