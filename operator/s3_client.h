/* s3_client.h - signed requests (SigV4) to an S3-compatible store, by libcurl: what may pass is asked again after a while, what a
 * person has to mend ends at once, and says what. One thread.
 */
#ifndef TALLYMILL_OPERATOR_S3_CLIENT_H
#define TALLYMILL_OPERATOR_S3_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "common/buffer.h"
#include "common/error.h"

struct settings;

/* Where requests go, and as whom. */
struct s3_client {
    const struct settings *settings; /* borrowed */
    CURL *curl;
    char base[700]; /* up to the bucket's slash */
    char signing[80], *token;
    bool keeps_versions; /* as an answer said */
};

enum { S3_URL_BYTES = 1600, S3_ANSWER_MAX = 1 << 30 };

/* One request and what came back. The caller fills in the first four (the url begins with the client's base), and resets the
 * answer. */
struct s3_request {
    const char *method;
    char url[S3_URL_BYTES];
    const char *body; /* NULL: none */
    size_t length;
    struct buffer answer;
    long status;
    char code[80]; /* of the store's XML, where it refuses: "NoSuchKey" */
    bool is_too_large;
};

/* By the settings s3.*, for a bucket; nothing is asked yet. ERROR_USAGE, ERROR_RETRY. To be closed either way. */
MUST_CHECK bool s3_client_open(struct s3_client *client, const struct settings *settings, const char *bucket, struct error *err);
void s3_client_close(struct s3_client *client);

/* True: the store answered 2xx, or that there is no such key (status 404, and the answer is empty). Else ERROR_RETRY where it may
 * pass, after several tries; ERROR_USAGE; ERROR_REJECT where the answer is larger than S3_ANSWER_MAX. */
MUST_CHECK bool s3_client_ask(struct s3_client *client, struct s3_request *request, struct error *err);

/* What stands between <NAME> and </NAME> of a store's XML; "" where it is not there. */
const char *s3_element(char *text, size_t size, const char *xml, const char *name);

#endif
