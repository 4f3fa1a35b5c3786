/* kafka_trouble.h - why a Kafka broker does not let us in, as an operator can mend it: setting, server and remedy.
 *
 * librdkafka tries again for ever and says "all brokers are down"; the reason is in its log only, and of a certificate not even
 * there. What it says is kept here by client and server, and told when nobody answered: a client that is made beside another has
 * other secrets, and is not judged by what that one met. Any thread.
 */
#ifndef TALLYMILL_COMMON_KAFKA_TROUBLE_H
#define TALLYMILL_COMMON_KAFKA_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include "common/error.h"

enum kafka_trouble {
    KAFKA_TROUBLE_NONE,
    KAFKA_TROUBLE_AUTHORITY,   /* its certificate is of an authority that we do not trust */
    KAFKA_TROUBLE_NAME,        /* its certificate is for another name */
    KAFKA_TROUBLE_EXPIRED,     /* its certificate has expired, or is not yet valid */
    KAFKA_TROUBLE_UNFIT,       /* its certificate is refused for another reason */
    KAFKA_TROUBLE_CERTIFICATE, /* it asks for one of ours, or refuses it */
    KAFKA_TROUBLE_OURS,        /* it refuses ours, and says why */
    KAFKA_TROUBLE_LOGIN,       /* user or password */
    KAFKA_TROUBLE_MECHANISM,   /* it knows no such SASL mechanism */
    KAFKA_TROUBLE_NO_SASL,     /* it asks nobody for a login */
    KAFKA_TROUBLE_NO_LOGIN,    /* it closes the connection as soon as it stands, and we have no login */
    KAFKA_TROUBLE_NO_TLS,      /* it closes the connection when TLS begins */
    KAFKA_TROUBLE_NO_PLAIN,    /* it closes the connection when nothing but Kafka's protocol begins */
    KAFKA_TROUBLE_NO_TOKEN,    /* there is no token to log in with: whoever gives them may be away */
    KAFKA_TROUBLE_NO_HOST,     /* nobody knows this name */
    KAFKA_TROUBLE_REFUSED,     /* nobody listens there */
};

/* Has the reasons noted for which a handle of this configuration refuses a certificate. It refuses what it refused before. */
void kafka_trouble_watch(rd_kafka_conf_t *conf);

/* Notes a line of the log. True: it was one about a trouble, and `told` has the explanation, or "" when the same was explained
 * within the last ten minutes, and was not over since. */
bool kafka_trouble_note(rd_kafka_t *handle, const char *line, char *told, size_t size);

/* Kafka has answered: what comes from now on is another trouble, and is explained. */
void kafka_trouble_over(void);

/* A line of librdkafka's log without the logins in the addresses that it quotes ("https://USER:PASSWORD@HOST"), cut to the size.
 * Returns buffer. */
const char *kafka_trouble_cut_logins(char *buffer, size_t size, const char *line);

/* Puts the explanation of the latest trouble of this client in place of err's text: ERROR_USAGE where our settings or rights must
 * change, else the kind stays. It may ask the server what it speaks, which takes up to 2 s. False: there is none, and err is as it
 * was. */
bool kafka_trouble_explain(rd_kafka_t *handle, struct error *err);
bool kafka_trouble_explain_server(rd_kafka_t *handle, const char *server, struct error *err); /* of this server only */

#endif
