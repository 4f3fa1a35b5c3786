/* status.h - what the parts of `tallymill status` share: all that was asked, and how it is shown. One thread. */
#ifndef TALLYMILL_OPERATOR_STATUS_H
#define TALLYMILL_OPERATOR_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#include "common/error.h"
#include "operator/backlog.h"

struct settings;

enum { STATUS_STANDING_SECONDS = 30, STATUS_NOTE_BYTES = 400 };

struct status {
    const struct settings *settings;
    const char *topic; /* --topic, else topics.events: whose lag is asked for */
    bool is_one_topic; /* --topic: only its rows are shown */
    bool as_json, is_brief, is_watched, is_written;
    const char *max_lag;         /* as given, or NULL */
    int64_t max_offsets, max_us; /* of max_lag; -1: not that one */
    rd_kafka_t *client;
    PGresult *topic_partitions, *totals, *statistics, *days, *rollups, *troubles, *waits, *books, *names;
    struct backlog backlog; /* of `topic`; logs NULL: Kafka did not tell */
    bool is_too_late;       /* more waits than max_lag */
    bool is_kafka_away;     /* else it answered, and kafka_silence says why that tells no lag */
    char kafka_silence[ERROR_TEXT_BYTES];
};

/* Whether a row of topic_partitions or totals is shown, and is of the topic whose lag was asked for. */
bool status_is_shown(const struct status *status, const PGresult *rows, int row);
bool status_is_asked(const struct status *status, int row);

/* Offsets that Kafka has and the ledger has not; -1 where Kafka was not asked about that topic partition, or has none such. */
int64_t status_lag(const struct status *status, int row);

/* What is wrong with a topic partition (a row of topic_partitions) and what to do; "": nothing. Returns `note`. */
const char *status_note(const struct status *status, int row, char note[STATUS_NOTE_BYTES]);

/* What lies in topic partitions that nobody has claimed yet. */
int64_t status_unclaimed(const struct status *status);

/* Dead letters of a topic that wait. */
int64_t status_waiting(const struct status *status, const char *topic);

/* The most frequent events that the catalogue does not know, as an array of {event_name, events}; an empty one also where the
 * catalogue cannot be read. */
json_t *status_unknown_events(const struct status *status);

void status_print(const struct status *status);       /* for a person */
void status_print_brief(const struct status *status); /* one line */

#endif
