/* doctor.h - what the parts of `tallymill doctor` share: one patient, and how a finding about it is told.
 *
 * A check looks at one thing and tells what it finds: what, why it matters, and one command or line of SQL that mends it. One that
 * could not look says so; that is no finding of its own, because the check of the server that did not answer has told it. Nothing
 * is changed: what is tried is rolled back. One thread.
 */
#ifndef TALLYMILL_OPERATOR_DOCTOR_H
#define TALLYMILL_OPERATOR_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "operator/backlog.h"

struct settings;

enum { DOCTOR_TEXT_BYTES = 768 };

enum doctor_grade {
    DOCTOR_WARNING, /* works, but is slower, or nearer to the edge, than it should be */
    DOCTOR_FINDING, /* something is broken, or will be soon */
};

/* The login that doctor has, and those of the workers, as doctor_logins.sql tells them. */
struct doctor_login {
    bool is_known;
    bool is_worker, is_aggregator, is_reader, is_admin; /* the roles that it has; a superuser has all */
    char may_store[256];                                /* logins that may store, superusers left out; "": none */
};

struct doctor {
    const struct settings *settings;
    PGconn *conn;           /* NULL: Postgres does not let us in */
    bool has_schema;        /* conn, with a schema that this program can read */
    rd_kafka_t *client;     /* NULL: Kafka was not asked, or does not answer */
    bool has_topic;         /* client, and the topic is there */
    PGresult *positions;    /* backlog_positions_sql, which backlog borrows from */
    struct backlog backlog; /* of topics.events; its logs are NULL where it is not known */
    struct doctor_login login;
    int consumers;                /* workers that are connected to the database */
    bool is_led;                  /* an aggregator leads, and is connected */
    bool has_aggregator;          /* one is connected, whether it leads or not */
    char last_leader[128];        /* who led when somebody last did; "" */
    int64_t last_seen_us;         /* how long ago that was told; -1: never */
    int failed_units;             /* of this host; -1: systemd was not asked */
    char said[DOCTOR_TEXT_BYTES]; /* of the check at hand: why it could not look; "" */
    json_t *findings;             /* of the check at hand */
    json_t *versions;             /* of program, client, server, schema: an object */
};

/* Tells a finding of the check at hand. object: what it is about, the same at each look ("month 2026-12"). */
void doctor_tell(struct doctor *doctor, enum doctor_grade grade, const char *object, const char *what, const char *why,
                 const char *remedy);

/* The check at hand could not look. */
void doctor_pass(struct doctor *doctor, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for an error. Of a login that is not there to read (a worker's) a right that is missing is no fault: it says as whom to
 * ask. */
void doctor_pass_error(struct doctor *doctor, const struct error *err);

/* A statement in a transaction of its own that reads only and begins as all of ours do; the caller frees the result (PQclear).
 * NULL: the check at hand has passed. */
PGresult *doctor_ask(struct doctor *doctor, const char *sql);

/* The rows of a query of operator/sql/doctor_NAME.sql, each told as a finding. */
void doctor_tell_rows(struct doctor *doctor, const char *sql);

/* The checks, by what they ask. */
void doctor_postgres(struct doctor *doctor); /* opens conn */
void doctor_schema(struct doctor *doctor);   /* sets has_schema */
void doctor_rights(struct doctor *doctor);
void doctor_trials(struct doctor *doctor); /* writes, and rolls it back */
void doctor_months(struct doctor *doctor);
void doctor_foreign(struct doctor *doctor);
void doctor_transactions(struct doctor *doctor);
void doctor_waits(struct doctor *doctor);
void doctor_verify(struct doctor *doctor);
void doctor_kafka(struct doctor *doctor); /* opens client, sets has_topic */
void doctor_acls(struct doctor *doctor);
void doctor_topic(struct doctor *doctor);
void doctor_retention(struct doctor *doctor);
void doctor_workers(struct doctor *doctor); /* reads positions, backlog */
void doctor_settings(struct doctor *doctor);
void doctor_clocks(struct doctor *doctor);
void doctor_disk(struct doctor *doctor);
void doctor_processes(struct doctor *doctor);

/* A setting and where it stands, for remedies: "postgres.dsn (/etc/tallymill/tallymill.ini:12)". */
const char *doctor_place(const struct doctor *doctor, const char *key, char text[DOCTOR_TEXT_BYTES]);

#endif
