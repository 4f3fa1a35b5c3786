/* doctor_postgres.c - what `tallymill doctor` asks Postgres. The knowledge is in operator/sql/doctor_NAME.sql; here is what a query
 * alone cannot say. */
#include "operator/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock_watch.h"
#include "common/migrations.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/rights.h"
#include "common/settings.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/snapshot.h"
#include "operator/verify.h"

#define OPEN_US  (10 * CLOCK_SECOND_US)
#define QUERY_US (30 * CLOCK_SECOND_US)

enum { VERIFIED_EVENTS = 200000 }; /* a second or two, on a server that does something else as well */

extern const char doctor_foreign_sql[], doctor_hidden_sql[], doctor_transactions_sql[], doctor_months_sql[], doctor_rights_sql[],
    sessions_sql[], doctor_verified_sql[], doctor_trials_sql[], doctor_tried_sql[], doctor_logins_sql[], rights_tsv[];

/* A worker's login: it stores, and reads nothing but what it needs for that. */
static bool is_only_worker(const struct doctor *doctor)
{
    const struct doctor_login *login = &doctor->login;
    return login->is_known && login->is_worker && !login->is_reader && !login->is_admin;
}

void doctor_pass_error(struct doctor *doctor, const struct error *err)
{
    if (postgres_is(err, POSTGRES_NO_RIGHT) && is_only_worker(doctor)) {
        doctor_pass(doctor, "this login is a worker's, which may not read that: ask as one that has tallymill_read");
    } else {
        doctor_pass(doctor, "%s", err->text);
    }
}

/* Opens the transaction of a check. */
static bool begin(struct doctor *doctor, struct error *err)
{
    /* A lock that one check waits for would keep each of the others waiting as well; who holds it is a check of its own. */
    return postgres_exec(doctor->conn, POSTGRES_BEGIN("REPEATABLE READ READ ONLY") "; SET LOCAL lock_timeout = '2s'", QUERY_US,
                         err);
}

/* Ends it. A server that went away meanwhile is no server any more, for the checks behind. */
static void end(struct doctor *doctor, struct error *err)
{
    struct error ignored = {0};
    if (err->kind != ERROR_NONE) {
        doctor_pass_error(doctor, err);
    }
    if (!postgres_exec(doctor->conn, "ROLLBACK", QUERY_US, &ignored) || PQstatus(doctor->conn) != CONNECTION_OK) {
        PQfinish(doctor->conn);
        doctor->conn = NULL;
        doctor->has_schema = false;
    }
}

static PGresult *ask_with(struct doctor *doctor, const char *name, const char *value, const char *sql, int count,
                          const char *const *values)
{
    struct error err = {0};
    const char *const set[] = {name, value};
    PGresult *result = NULL, *is_set = NULL;
    if (begin(doctor, &err) &&
        (!name || (is_set = postgres_query_params(doctor->conn, "SELECT set_config('tallymill.' || $1, $2, true)", 2, set, QUERY_US,
                                                  &err)))) {
        result = count > 0 ? postgres_query_params(doctor->conn, sql, count, values, QUERY_US, &err)
                           : postgres_query(doctor->conn, sql, QUERY_US, &err);
    }
    PQclear(is_set);
    end(doctor, &err);
    return result;
}

PGresult *doctor_ask(struct doctor *doctor, const char *sql)
{
    return ask_with(doctor, NULL, NULL, sql, 0, NULL);
}

static void tell_rows(struct doctor *doctor, PGresult *rows)
{
    for (int row = 0; rows && row < PQntuples(rows); row++) {
        doctor_tell(doctor, answer_bool(rows, row, "is_finding") ? DOCTOR_FINDING : DOCTOR_WARNING,
                    answer_text(rows, row, "object"), answer_text(rows, row, "what"), answer_text(rows, row, "why"),
                    answer_text(rows, row, "remedy"));
    }
    PQclear(rows);
}

void doctor_tell_rows(struct doctor *doctor, const char *sql)
{
    tell_rows(doctor, doctor_ask(doctor, sql));
}

void doctor_postgres(struct doctor *doctor)
{
    struct error err = {0};
    char place[DOCTOR_TEXT_BYTES], remedy[2 * DOCTOR_TEXT_BYTES];
    doctor->conn = postgres_open(settings_text(doctor->settings, "postgres.dsn"), "tallymill doctor", OPEN_US, &err);
    if (doctor->conn) {
        json_object_set_new(doctor->versions, "postgres", json_string(PQparameterStatus(doctor->conn, "server_version")));
        return;
    }
    doctor_place(doctor, "postgres.dsn", place);
    if (postgres_is(&err, POSTGRES_LOGIN_REFUSED)) {
        snprintf(remedy, sizeof remedy,
                 "correct %s as the finding says; or, for another password, as a superuser: ALTER ROLE name LOGIN PASSWORD '...'",
                 place);
    } else if (err.kind == ERROR_USAGE) {
        snprintf(remedy, sizeof remedy, "correct %s", place);
    } else {
        snprintf(remedy, sizeof remedy, "systemctl start postgresql -- on its host; if it runs, correct host and port of %s",
                 place);
    }
    doctor_tell(doctor, DOCTOR_FINDING, "server", err.text, "nothing can be stored, counted or proven", remedy);
}

/* The highest migration of the database, and how many of its functions and views a newer release has replaced. */
static void tell_newer(struct doctor *doctor)
{
    size_t known = 0, count = 0;
    char what[DOCTOR_TEXT_BYTES];
    PGresult *versions = doctor_ask(doctor, "SELECT max(version) AS version FROM tallymill.schema_version");
    PGresult *applied = versions ? doctor_ask(doctor, SCHEMA_OBJECTS_QUERY) : NULL;
    postgres_migrations(&known);
    const struct schema_object *objects = postgres_schema_objects(&count);
    int newer = 0;
    for (size_t i = 0; applied && i < count; i++) {
        struct applied_object row;
        newer += schema_object_find(applied, objects[i].name, &row) &&
                 schema_object_state(&objects[i], &row, TALLYMILL_VERSION) == OBJECT_NEWER;
    }
    if (versions) {
        const int64_t version = answer_int(versions, 0, "version");
        json_object_set_new(doctor->versions, "schema", json_integer(version));
        if (version > (int64_t)known || newer > 0) {
            snprintf(what, sizeof what,
                     "the schema is of a newer release than this program (%s): migration %" PRId64
                     " of the database, %zu of the program; %d functions and views are newer",
                     TALLYMILL_VERSION, version, known, newer);
            doctor_tell(doctor, DOCTOR_WARNING, "schema", what,
                        "older programs go on, but not for more than a release; their migrate does nothing",
                        "apt install tallymill -- the newer release, on this host too");
        }
    }
    PQclear(versions);
    PQclear(applied);
}

static void count_sessions(struct doctor *doctor)
{
    PGresult *sessions = doctor_ask(doctor, sessions_sql);
    if (sessions) {
        doctor->consumers = (int)answer_int(sessions, 0, "consumers");
        doctor->is_led = answer_text(sessions, 0, "leader")[0] != '\0';
        doctor->has_aggregator = answer_bool(sessions, 0, "is_connected");
        doctor->last_seen_us = answer_int(sessions, 0, "last_seen_us");
        utf8_copy(doctor->last_leader, sizeof doctor->last_leader, answer_text(sessions, 0, "last_leader"));
    }
    PQclear(sessions);
}

/* Whose login this is; a worker that is connected and may not store is told at once. */
static void look_at_logins(struct doctor *doctor)
{
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    struct doctor_login *login = &doctor->login;
    PGresult *logins = doctor_ask(doctor, doctor_logins_sql);
    if (!logins) {
        return;
    }
    *login = (struct doctor_login){.is_known = true,
                                   .is_worker = answer_bool(logins, 0, "is_worker"),
                                   .is_aggregator = answer_bool(logins, 0, "is_aggregator"),
                                   .is_reader = answer_bool(logins, 0, "is_reader"),
                                   .is_admin = answer_bool(logins, 0, "is_admin")};
    utf8_copy(login->may_store, sizeof login->may_store, answer_text(logins, 0, "may_store"));
    if (answer_text(logins, 0, "refused_worker")[0] != '\0') {
        snprintf(what, sizeof what, "workers are connected as %.200s, which may not store",
                 answer_text(logins, 0, "refused_workers"));
        snprintf(remedy, sizeof remedy, "GRANT tallymill_ingest TO %.130s", answer_text(logins, 0, "refused_worker"));
        doctor_tell(doctor, DOCTOR_FINDING, "workers' login", what, "their next batch ends them, with exit code 2", remedy);
    }
    PQclear(logins);
}

/* What the login lacks of tallymill_read's rights; false: nothing, or it cannot be asked. Each case has a remedy of its own: a
 * worker's login is to have no more than it has, and where the role has lost rights its membership mends nothing, which the rights
 * of all roles may have told already. */
static bool tell_lacking(struct doctor *doctor, bool is_role_told, const char *why)
{
    struct error err = {0};
    struct rights rights = {0};
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    const struct doctor_login *login = &doctor->login;
    const bool is_asked = begin(doctor, &err) && rights_ask(doctor->conn, "tallymill_read", &rights, &err);
    end(doctor, &err);
    if (!is_asked || rights.missing == 0) {
        return false;
    }
    if (is_only_worker(doctor)) {
        doctor_pass(
            doctor,
            "whether whoever looks may read all of it: this login (%.63s) is a worker's; ask as one that has tallymill_read",
            PQuser(doctor->conn));
        return true;
    }
    if (!rights.is_of_login && is_role_told) {
        return true;
    }
    snprintf(what, sizeof what,
             rights.is_of_login ? "the login %.63s lacks %d rights of tallymill_read: %s"
                                : "the login %.63s has the role tallymill_read, which has lost %d rights: %s",
             PQuser(doctor->conn), rights.missing, rights.what);
    const bool has_none = login->is_known && !login->is_reader && !login->is_admin && !login->is_aggregator;
    snprintf(
        remedy, sizeof remedy, "%s%s", rights.grants,
        has_none
            ? " -- if it is the login of whoever looks; a worker's is given tallymill_ingest, the aggregator's tallymill_aggregate"
            : "");
    doctor_tell(doctor, DOCTOR_FINDING, "tallymill_read", what, why, remedy);
    return true;
}

void doctor_schema(struct doctor *doctor)
{
    struct error err = {0};
    look_at_logins(doctor);
    if (doctor->conn && postgres_check_schema(doctor->conn, &err)) {
        doctor->has_schema = true;
        count_sessions(doctor);
        tell_newer(doctor);
    } else if (!doctor->conn) {
        return; /* it went away meanwhile */
    } else if (postgres_is(&err, POSTGRES_NO_RIGHT)) {
        if (!tell_lacking(doctor, false, "nothing else can be looked at")) {
            doctor_tell(doctor, DOCTOR_FINDING, "schema", err.text, "nothing else can be looked at",
                        "tallymill status --check -- names what is missing");
        }
    } else if (err.kind == ERROR_USAGE) {
        const bool is_newer = strstr(err.text, "newer program") != NULL;
        doctor_tell(doctor, DOCTOR_FINDING, "schema", err.text, "no program of this release works with it",
                    is_newer ? "apt install tallymill -- the newer release, on this host too" : "tallymill migrate");
    } else {
        doctor_pass(doctor, "%s", err.text);
    }
}

void doctor_rights(struct doctor *doctor)
{
    PGresult *roles = ask_with(doctor, "doctor_rights", rights_tsv, doctor_rights_sql, 0, NULL);
    tell_lacking(doctor, roles != NULL, "audit, verify and status are not allowed to read all that they ask for");
    tell_rows(doctor, roles);
}

/* Writes, and rolls it back: what is refused is known only by trying. A lock that somebody holds is not waited for. */
void doctor_trials(struct doctor *doctor)
{
    struct error err = {0};
    const char *const rights[] = {rights_tsv};
    PGresult *rows = NULL, *is_set = NULL;
    if (postgres_exec(doctor->conn, POSTGRES_BEGIN("READ COMMITTED READ WRITE") "; SET LOCAL lock_timeout = '100ms'", QUERY_US,
                      &err) &&
        (is_set = postgres_query_params(doctor->conn, "SELECT set_config('tallymill.doctor_rights', $1, true)", 1, rights, QUERY_US,
                                        &err)) &&
        postgres_exec(doctor->conn, doctor_trials_sql, QUERY_US, &err)) {
        rows = postgres_query(doctor->conn, doctor_tried_sql, QUERY_US, &err);
    }
    PQclear(is_set);
    end(doctor, &err);
    tell_rows(doctor, rows);
}

void doctor_months(struct doctor *doctor)
{
    char months[24];
    snprintf(months, sizeof months, "%" PRId64, settings_int(doctor->settings, "aggregator.months_ahead"));
    tell_rows(doctor, ask_with(doctor, "doctor_months_ahead", months, doctor_months_sql, 0, NULL));
}

/* The indexes of the events, as the migrations name them: what another migration adds is known without being told here. */
static char *our_indexes(void)
{
    static const char begin[] = "idx_analytics_events_";
    char *names = NULL;
    size_t length = 0, count = 0;
    FILE *out = open_memstream(&names, &length);
    const struct migration *migrations = postgres_migrations(&count);
    for (size_t i = 0; out && i < count; i++) {
        for (const char *at = strstr(migrations[i].sql, begin); at; at = strstr(at + 1, begin)) {
            fprintf(out, "%.*s ", (int)strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_"), at);
        }
    }
    if (out && fclose(out) != 0) {
        free(names);
        return NULL;
    }
    return out ? names : NULL;
}

void doctor_foreign(struct doctor *doctor)
{
    char *names = our_indexes();
    if (!names) {
        doctor_pass(doctor, "out of memory");
        return;
    }
    tell_rows(doctor, ask_with(doctor, "doctor_indexes", names, doctor_foreign_sql, 0, NULL));
    free(names);
}

/* What is hidden from the login is no transaction that is young. */
void doctor_transactions(struct doctor *doctor)
{
    doctor_tell_rows(doctor, doctor_transactions_sql);
    PGresult *hidden = doctor->conn ? doctor_ask(doctor, doctor_hidden_sql) : NULL;
    const int64_t sessions = hidden ? answer_int(hidden, 0, "sessions") : 0;
    if (sessions > 0 && doctor->conn) {
        doctor_pass(doctor,
                    "how old the transactions of %" PRId64 " sessions of other logins are is hidden from this one: GRANT "
                    "pg_read_all_stats TO \"%.63s\"",
                    sessions, PQuser(doctor->conn));
    }
    PQclear(hidden);
}

/* Each wait says who is in the way and how to end it, in one text. */
void doctor_waits(struct doctor *doctor)
{
    static const char cut[] = "; to end it: ";
    PGresult *waits = doctor_ask(doctor, lock_waits_sql);
    for (int row = 0; waits && row < PQntuples(waits); row++) {
        if (!answer_bool(waits, row, "is_ours")) {
            continue;
        }
        char what[DOCTOR_TEXT_BYTES], object[64];
        const char *holder = answer_text(waits, row, "holder"), *remedy = strstr(holder, cut);
        const int length = remedy ? (int)(remedy - holder) : (int)strlen(holder);
        snprintf(object, sizeof object, "pid %s", answer_text(waits, row, "pid"));
        snprintf(what, sizeof what, "pid %s (%s) waits for a lock: %.*s", answer_text(waits, row, "pid"),
                 answer_text(waits, row, "application_name"), length, holder);
        doctor_tell(doctor, DOCTOR_FINDING, object, what, "what waits stores or counts nothing meanwhile",
                    remedy ? remedy + sizeof cut - 1 : "tallymill status");
    }
    PQclear(waits);
}

/* One figure of `tallymill verify` that differs, or a damage that it names. */
static void tell_difference(struct doctor *doctor, const json_t *difference, size_t all)
{
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    const char *uniques = json_string_value(json_object_get(difference, "uniques")),
               *day = uniques ? uniques : json_string_value(json_object_get(difference, "day")),
               *rollup = json_string_value(json_object_get(difference, "rollup"));
    const char *name = json_string_value(json_object_get(difference, rollup    ? "row_key"
                                                                     : uniques ? "subject"
                                                                               : "event_name")),
               *column = json_string_value(json_object_get(difference, "column_name"));
    char *have = json_dumps(json_object_get(difference, "have"), JSON_ENCODE_ANY),
         *should = json_dumps(json_object_get(difference, "should"), JSON_ENCODE_ANY);
    snprintf(what, sizeof what, "%s of %s: %.120s%s%.60s %s, and %s by the events; %zu figures differ in all",
             rollup    ? rollup
             : uniques ? "the uniques"
                       : "the daily statistics",
             day ? day : "some day", name ? name : "", name ? " " : "", column ? column : "a row", have ? have : "is another",
             should ? should : "another", all);
    if (uniques)
        snprintf(remedy, sizeof remedy, "SELECT tallymill.forget_uniques(); -- counts all attached months anew");
    else
        snprintf(remedy, sizeof remedy, "tallymill rebuild %s -- and tallymill verify, which names each figure", day ? day : "DAY");
    doctor_tell(doctor, DOCTOR_FINDING, "figures", what,
                "somebody changed rows or statistics by hand, or a program of ours is wrong: then keep the output of verify",
                remedy);
    free(have);
    free(should);
}

/* The newest days, of so many events as are counted in a moment. `tallymill verify` compares all. */
void doctor_verify(struct doctor *doctor)
{
    struct error err = {0};
    char events[24];
    snprintf(events, sizeof events, "%d", VERIFIED_EVENTS);
    PGresult *from = ask_with(doctor, "doctor_events", events, doctor_verified_sql, 0, NULL);
    struct snapshot *snapshot = from ? snapshot_open(doctor->settings, "tallymill doctor", &err) : NULL;
    json_t *answer = snapshot ? verify_from(snapshot, answer_text(from, 0, "first_day"), &err) : NULL;
    const json_t *differences = json_object_get(answer, "differences"), *damages = json_object_get(answer, "damages");
    if (json_array_size(differences) > 0) {
        tell_difference(doctor, json_array_get(differences, 0), json_array_size(differences));
    }
    for (size_t i = 0; i < json_array_size(damages); i++) {
        doctor_tell(doctor, DOCTOR_FINDING, "folded", json_string_value(json_object_get(json_array_get(damages, i), "damage")),
                    "the statistics count batches that are not stored, or miss some", "tallymill verify -- names each place");
    }
    if (err.kind != ERROR_NONE && json_array_size(differences) + json_array_size(damages) == 0) {
        doctor_pass_error(doctor, &err);
    }
    json_decref(answer);
    snapshot_close(snapshot);
    PQclear(from);
}
