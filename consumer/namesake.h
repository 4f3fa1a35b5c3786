/* namesake.h - whether another worker has really taken this one's name, once Kafka has said so. */
#ifndef TALLYMILL_CONSUMER_NAMESAKE_H
#define TALLYMILL_CONSUMER_NAMESAKE_H

struct claim;
struct error;

/* This worker: how it claims, and its last claims. All borrowed. */
struct namesake_self {
    const char *dsn, *topic;
    const char *owner; /* HOST/PROCESS/INSTANCE, as tallymill.owners holds it */
    const struct claim *claims;
    int claim_count;
};

/* err: Kafka's error that ended this member for its name. It becomes ERROR_RETRY when the ledger shows no namesake. Waits up to 10
 * s for one, but not through a stop. */
void namesake_judge(const struct namesake_self *self, struct error *err);

#endif
