/* namesake.c - see namesake.h.
 *
 * Kafka says "fenced" to a static member whose name it knows under another member id. That is a second process with the same
 * consumer.instance, and then a person must look; or it is this very process: when a broker dies in the middle of a join, the id
 * that it gave out is stored and its answer lost, and then starting again is all it takes. (Seen after kill -9 and restart of the
 * only broker; the cause is inferred.) A namesake is known by what it claims in the ledger: static members of one name get the same
 * topic partitions. One that has none, because there are more workers than topic partitions, cannot be told from nobody: the two
 * then end and start in turn, and nothing is lost.
 *
 * Rejected: to join again in this process. Ending a consumer in this state can take as long as it likes, and a supervisor starts a
 * new one anyhow.
 */
#include "consumer/namesake.h"

#include <string.h>
#include <time.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/service.h"
#include "consumer/connection.h"
#include "consumer/ledger.h"

/* Beyond our own claims, by a worker of our name. */
static const char claims_sql[] =
    "SELECT 1 FROM tallymill.owners o JOIN unnest($2::integer[], $3::bigint[]) AS c (topic_partition, epoch) "
    "USING (topic_partition) WHERE o.topic = $1 AND o.epoch > c.epoch "
    "AND o.owner <> $5 AND substring(o.owner FROM '^[^/]*/[0-9]+/(.*)$') = $4 LIMIT 1";

enum { LOOK_MS = 200 };
#define LOOK_LIMIT_US INT64_C(1000000)
#define WAIT_US       INT64_C(10000000) /* the usual session time-out: as long as a namesake may wait for its share */

/* The claims' topic partitions and epochs as arrays. False without memory. */
static bool list_claims(const struct namesake_self *self, struct array_text *topic_partitions, struct array_text *epochs)
{
    array_text_begin(topic_partitions);
    array_text_begin(epochs);
    for (int i = 0; i < self->claim_count; i++) {
        array_text_add_int64(topic_partitions, self->claims[i].topic_partition);
        array_text_add_int64(epochs, self->claims[i].epoch);
    }
    return array_text_end(topic_partitions) && array_text_end(epochs);
}

/* False: whether there is such a claim was not found out. */
static bool look_for_claim(PGconn *conn, const char *const values[5], bool *is_there, struct error *err)
{
    const int64_t deadline_us = clock_now_us() + WAIT_US;
    for (*is_there = false; !*is_there && clock_now_us() < deadline_us && !service_is_stopping();) {
        service_watchdog(clock_now_us());
        PGresult *result = postgres_query_params(conn, claims_sql, 5, values, LOOK_LIMIT_US, err);
        if (!result)
            return false;
        *is_there = PQntuples(result) > 0;
        PQclear(result);
        if (!*is_there)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    return *is_there || !service_is_stopping();
}

/* INSTANCE of HOST/PROCESS/INSTANCE. */
static const char *instance_of(const char *owner)
{
    const char *process = strchr(owner, '/');
    const char *instance = process ? strchr(process + 1, '/') : NULL;
    return instance ? instance + 1 : "";
}

void namesake_judge(const struct namesake_self *self, struct error *err)
{
    struct error local = {0};
    bool is_there = false;
    PGconn *conn = postgres_open(self->dsn, "tallymill-consumer", CONNECTION_LIMIT_US, &local);
    struct array_text topic_partitions = {0}, epochs = {0};
    const bool is_listed = list_claims(self, &topic_partitions, &epochs);
    const char *const values[] = {self->topic, topic_partitions.bytes, epochs.bytes, instance_of(self->owner), self->owner};
    if (conn && is_listed && look_for_claim(conn, values, &is_there, &local) && !is_there) {
        err->kind = ERROR_RETRY;
        error_wrap(err, "no worker of this name claims anything in the ledger: start again");
    } else if (!is_there && !service_is_stopping()) {
        log_warn_because(&local, "cannot ask the ledger who has this worker's name", NULL);
    }
    array_text_free(&epochs);
    array_text_free(&topic_partitions);
    PQfinish(conn);
}
