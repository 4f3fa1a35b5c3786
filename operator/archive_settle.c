/* archive_settle.c - see archive_settle.h.
 *
 * Behind the last row that is dropped nobody can compute anything again. So the statistics and rollups of the month are compared
 * with its rows once more, as `tallymill verify` does, in the snapshot that is written out; what waits, or differs, keeps the month
 * where it is.
 */
#include "operator/archive_settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/error.h"
#include "operator/answer.h"
#include "operator/snapshot.h"
#include "operator/verify.h"

extern const char archive_settle_sql[], archive_stops_sql[], verify_rollup_foreign_sql[];

static const char old_looks_sql[] =
    "SELECT rollup FROM tallymill.rollups WHERE looks_back AND strpos(query, 'tallymill.first_seen') = 0";

static const char leader_sql[] = "SELECT EXISTS (SELECT FROM tallymill.leader WHERE leader <> '' AND seen_at > clock_timestamp() - "
                                 "interval '1 minute') AS is_led";

static bool waits(const struct month_name *month, struct error *err, const char *reason)
{
    return error_set(err, ERROR_RETRY, "%s waits: %.300s", month->text, reason);
}

/* What the aggregator does sooner or later: whether one is there, and when to ask again. */
static void say_when(struct snapshot *snapshot, struct error *err)
{
    struct error unasked = {0}, waiting = *err;
    PGresult *leader = snapshot_ask(snapshot, leader_sql, &unasked);
    if (leader && answer_bool(leader, 0, "is_led"))
        error_set(err, waiting.kind, "%.400s; the aggregator settles that by itself, mostly within a minute: run it again then",
                  waiting.text);
    else if (leader)
        error_set(err, waiting.kind,
                  "%.400s; the aggregator settles that, and none leads: start tallymill-aggregator, then run it again",
                  waiting.text);
    PQclear(leader);
}

/* Whether what verify sets aside is a matter of time: what failed, and a month that is away, are not. */
static bool passes(const char *reason)
{
    static const char *const stays[] = {"its query failed", "its month is", "the table of its month"};
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++)
        if (strncmp(reason, stays[i], strlen(stays[i])) == 0)
            return false;
    return true;
}

bool archive_settle_stops(struct snapshot *snapshot, const struct month_name *month, struct error *err)
{
    char more[40] = "";
    PGresult *stops = snapshot_set(snapshot, "month", month->first, err) ? snapshot_ask(snapshot, archive_stops_sql, err) : NULL;
    const int count = stops ? PQntuples(stops) : 0;
    if (count > 1)
        snprintf(more, sizeof more, " (and %d more)", count - 1);
    if (count > 0)
        error_set(err, ERROR_USAGE, "%s stays: %.400s%s", month->text, answer_text(stops, 0, "stop"), more);
    PQclear(stops);
    return stops && count == 0;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool look_at_days(struct snapshot *snapshot, const struct month_name *month, struct error *err)
{
    PGresult *result = snapshot_set(snapshot, "month", month->first, err) ? snapshot_ask(snapshot, archive_settle_sql, err) : NULL;
    const bool is_settled = result && (PQntuples(result) == 0 || waits(month, err, answer_text(result, 0, "reason")));
    PQclear(result);
    return is_settled;
}

static bool look_at_foreign(struct snapshot *snapshot, const struct month_name *month, bool *should_rebuild, struct error *err)
{
    PGresult *result =
        snapshot_set(snapshot, "first_day", month->days.first, err) && snapshot_set(snapshot, "last_day", month->days.last, err)
            ? snapshot_ask(snapshot, verify_rollup_foreign_sql, err)
            : NULL;
    *should_rebuild = result && PQntuples(result) > 0;
    PQclear(result);
    return result && (!*should_rebuild || waits(month, err, "other programs have rows there that the statistics have not seen"));
}

/* What looks back without knowing tallymill.first_seen is of the events that are kept: it is stale whenever a month has left, and
 * holds up none. */
static bool is_left_out(const PGresult *old_looks, const char *rollup)
{
    for (int row = 0; row < PQntuples(old_looks); row++)
        if (strcmp(PQgetvalue(old_looks, row, 0), rollup) == 0)
            return true;
    return false;
}

static void write_value(char text[32], const json_t *value)
{
    if (json_is_integer(value))
        snprintf(text, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(text, 32, "%s", json_is_string(value) ? json_string_value(value) : "missing");
}

/* One difference, as `tallymill verify --json` gives it: of a day's statistics, of a rollup, or of uniques. */
static void write_difference(char *text, size_t size, const json_t *one)
{
    char have[32], should[32];
    write_value(have, json_object_get(one, "have"));
    write_value(should, json_object_get(one, "should"));
    if (json_object_get(one, "uniques"))
        snprintf(text, size, "uniques of %.40s, %.60s, %s, %s: %s are %s, not %s", text_of(one, "uniques"), text_of(one, "subject"),
                 text_of(one, "kind"), text_of(one, "population"), text_of(one, "column_name"), have, should);
    else if (json_object_get(one, "rollup"))
        snprintf(text, size, "rollup %.60s of %s, %.60s: %.60s is %s, not %s", text_of(one, "rollup"), text_of(one, "day"),
                 text_of(one, "row_key"), text_of(one, "column_name"), have, should);
    else
        snprintf(text, size, "%s of %s: %s is %s, not %s", text_of(one, "event_name"), text_of(one, "day"),
                 text_of(one, "column_name"), have, should);
}

/* *will_pass: the aggregator settles what it waits for. */
static bool judge(const struct month_name *month, const json_t *found, const PGresult *old_looks, bool *should_rebuild,
                  bool *will_pass, struct error *err)
{
    char reason[400];
    const json_t *one, *aside = json_object_get(found, "set_aside"), *rollups = json_object_get(found, "rollups_set_aside"),
                       *uniques = json_object_get(found, "uniques_set_aside");
    size_t i;
    *will_pass = false;
    if (json_array_size(json_object_get(found, "damages")) > 0)
        return waits(month, err, "how far the statistics have come cannot be true: tallymill verify names it");
    *will_pass = true;
    if (json_integer_value(json_object_get(found, "pending_rows")) > 0)
        return waits(month, err, "rows of it are not in the statistics yet");
    if ((one = json_array_get(aside, 0)) != NULL) {
        *will_pass = passes(text_of(one, "reason"));
        snprintf(reason, sizeof reason, "%s %s", text_of(one, "day"), text_of(one, "reason"));
        return waits(month, err, reason);
    }
    if ((one = json_array_get(uniques, 0)) != NULL) {
        *will_pass = passes(text_of(one, "reason"));
        snprintf(reason, sizeof reason, "uniques of %s: %s", text_of(one, "day"), text_of(one, "reason"));
        return waits(month, err, reason);
    }
    json_array_foreach(rollups, i, one) {
        if (!is_left_out(old_looks, text_of(one, "rollup"))) {
            *will_pass = passes(text_of(one, "reason"));
            snprintf(reason, sizeof reason, "rollup %s of %s: %s", text_of(one, "rollup"), text_of(one, "first_day"),
                     text_of(one, "reason"));
            return waits(month, err, reason);
        }
    }
    one = json_array_get(json_object_get(found, "differences"), 0);
    *should_rebuild = one != NULL;
    if (!one)
        return true;
    write_difference(reason, sizeof reason, one);
    return error_set(err, ERROR_RETRY, "%s waits: its statistics differ from its rows, and its days are rebuilt (%s)", month->text,
                     reason);
}

bool archive_settle(struct snapshot *snapshot, const struct month_name *month, bool *should_rebuild, struct error *err)
{
    json_t *found = NULL;
    PGresult *old_looks = NULL;
    bool will_pass = false;
    *should_rebuild = false;
    bool is_settled = look_at_days(snapshot, month, err) && look_at_foreign(snapshot, month, should_rebuild, err);
    if (is_settled) {
        found = verify_range(snapshot, &month->days, err);
        is_settled = found && err->kind == ERROR_NONE && (old_looks = snapshot_ask(snapshot, old_looks_sql, err)) != NULL &&
                     judge(month, found, old_looks, should_rebuild, &will_pass, err);
    }
    if (!is_settled && err->kind == ERROR_RETRY && (will_pass || *should_rebuild))
        say_when(snapshot, err);
    PQclear(old_looks);
    json_decref(found);
    return is_settled;
}
