/* s3_client.c - see s3_client.h.
 *
 * x-amz-content-sha256 goes with every request and is the hash of what is sent, so that a store refuses what was broken on the way.
 * Parameters of an url are to be written sorted, and each with its `=`: libcurl before 8.9 signs others wrongly. Each further try
 * is waited for longer.
 */
#include "operator/s3_client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/settings.h"
#include "operator/archive_manifest.h"

enum { TRIES = 4, PAUSE_MS = 500, CONNECT_S = 10, SILENT_S = 30, LONGEST_S = 3600 };

/* For the function that libcurl hands the answer to. */
struct taking {
    struct s3_request *request;
    CURL *curl;
};

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
    struct taking *taking = context;
    struct s3_request *request = taking->request;
    struct buffer *answer = &request->answer;
    const size_t length = size * count;
    request->is_too_large = length > S3_ANSWER_MAX - answer->length;
    if (request->is_too_large)
        return 0;
    curl_off_t told = -1; /* at once all that is to come, where the store says how much */
    if (!answer->bytes)
        curl_easy_getinfo(taking->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &told);
    if (told > 0 && told <= S3_ANSWER_MAX && !buffer_reserve(answer, (size_t)told))
        return 0;
    return buffer_add(answer, bytes, length) ? length : 0;
}

/* A store that keeps what is deleted or overwritten names the version. */
static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    static const char name[] = "x-amz-version-id:";
    struct s3_client *client = context;
    const size_t length = size * count;
    if (length > sizeof name && strncasecmp(line, name, sizeof name - 1) == 0) {
        const char *value = line + sizeof name - 1, *end = line + length;
        while (value < end && *value == ' ')
            value++;
        client->keeps_versions = client->keeps_versions || end - value < 4 || strncmp(value, "null", 4) != 0;
    }
    return length;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(headers, line);
    if (!longer)
        curl_slist_free_all(headers);
    return longer;
}

static struct curl_slist *make_headers(const struct s3_client *client, const struct s3_request *request)
{
    char hash[40 + ARCHIVE_SHA256_BYTES] = "x-amz-content-sha256: ";
    archive_sha256(hash + strlen(hash), request->body ? request->body : "", request->length);
    struct curl_slist *headers = add_header(NULL, hash);
    if (headers && client->token)
        headers = add_header(headers, client->token);
    if (headers && request->body)
        headers = add_header(headers, "Content-Type: application/octet-stream");
    return headers ? add_header(headers, "Expect:") : NULL;
}

static void set_limits(CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)LONGEST_S);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
}

const char *s3_element(char *text, size_t size, const char *xml, const char *name)
{
    char begin[40], end[40];
    snprintf(begin, sizeof begin, "<%s>", name);
    snprintf(end, sizeof end, "</%s>", name);
    const char *from = xml ? strstr(xml, begin) : NULL, *to = from ? strstr(from, end) : NULL;
    text[0] = '\0';
    if (to)
        snprintf(text, size, "%.*s", (int)(to - from - (ptrdiff_t)strlen(begin)), from + strlen(begin));
    return text;
}

static CURLcode send_once(struct s3_client *client, struct s3_request *request)
{
    struct curl_slist *headers = make_headers(client, request);
    CURL *curl = client->curl;
    struct taking taking = {request, curl};
    buffer_reset(&request->answer);
    request->status = 0;
    request->code[0] = '\0';
    if (!headers)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_reset(curl);
    set_limits(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, client->signing);
    curl_easy_setopt(curl, CURLOPT_USERNAME, settings_text(client->settings, "s3.access_key"));
    curl_easy_setopt(curl, CURLOPT_PASSWORD, settings_text(client->settings, "s3.secret_key"));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &taking);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &request->status);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && request->status / 100 != 2)
        s3_element(request->code, sizeof request->code, request->answer.bytes, "Code");
    return code;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* Whether the same request may be answered better after a while. */
static bool may_pass(CURLcode code, const struct s3_request *request)
{
    static const char *const broken[] = {
        "BadDigest", "XAmzContentSHA256Mismatch", "RequestTimeout", "IncompleteBody", "SlowDown", "OperationAborted", NULL};
    const long status = request->status;
    if (request->is_too_large)
        return false;
    if (code != CURLE_OK)
        return code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_SSL_CACERT_BADFILE && code != CURLE_URL_MALFORMAT &&
               code != CURLE_UNSUPPORTED_PROTOCOL;
    return (status / 100 == 5 && status != 501) || status == 408 || status == 429 || is_one_of(request->code, broken);
}

/* What a person can do about it. */
static const char *advice(const struct s3_request *request)
{
    static const struct {
        const char *code, *text;
    } known[] = {
        {"RequestTimeTooSkewed", ": the clocks of this host and of the store differ"},
        {"RequestExpired", ": the clocks of this host and of the store differ"},
        {"SignatureDoesNotMatch", ": look at s3.secret_key, and s3.region"},
        {"InvalidAccessKeyId", ": look at s3.access_key"},
        {"AccessDenied", ": s3.access_key needs the rights to put, get, list and delete objects of the bucket"},
        {"InvalidToken", ": look at s3.session_token"},
        {"ExpiredToken", ": s3.session_token is over"},
        {"NoSuchBucket", ": make the bucket, it is made by nobody else"},
        {"EntityTooLarge", ": lower archive.part_size"},
        {"MaxMessageLengthExceeded", ": lower archive.part_size"},
        {"PermanentRedirect", ": look at s3.region and s3.endpoint"},
        {"AuthorizationHeaderMalformed", ": look at s3.region"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(request->code, known[i].code) == 0)
            return known[i].text;
    return request->status == 413 ? ": lower archive.part_size" : "";
}

static bool refused(const struct s3_client *client, CURLcode code, const struct s3_request *request, struct error *err)
{
    char text[160];
    const char *key = request->url + strlen(client->base);
    const enum error_kind kind = may_pass(code, request) ? ERROR_RETRY : ERROR_USAGE;
    if (request->is_too_large)
        return error_set(err, ERROR_REJECT, "%s %.200s: the store has more than %d bytes there", request->method, key,
                         S3_ANSWER_MAX);
    if (code != CURLE_OK)
        return error_set(err, kind, "%s %.200s at %.200s: %s", request->method, key, client->base, curl_easy_strerror(code));
    s3_element(text, sizeof text, request->answer.bytes, "Message");
    return error_set(err, kind, "%s %.200s: the store at %.200s answers %ld %s%s%s%s", request->method, key, client->base,
                     request->status, request->code, text[0] ? ": " : "", text, advice(request));
}

bool s3_client_ask(struct s3_client *client, struct s3_request *request, struct error *err)
{
    for (int try = 1;; try++) { /* ends: at the latest after TRIES */
        const CURLcode code = send_once(client, request);
        if (code == CURLE_OK && request->status / 100 == 2)
            return true;
        if (code == CURLE_OK && request->status == 404 && strcmp(request->code, "NoSuchKey") == 0 && !request->body) {
            buffer_reset(&request->answer);
            return true;
        }
        refused(client, code, request, err);
        if (!may_pass(code, request) || try == TRIES)
            return false;
        log_warn("the archive's store did not answer well: again after a while", "try=%d error=\"%s\"", try, err->text);
        error_clear(err);
        poll(NULL, 0, PAUSE_MS << try);
    }
}

static bool read_endpoint(struct s3_client *client, const char *bucket, struct error *err)
{
    const char *endpoint = settings_text(client->settings, "s3.endpoint"), *region = settings_text(client->settings, "s3.region");
    char standing[200];
    if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return error_set(err, ERROR_USAGE, "s3.region %.60s: lower case letters, digits and dashes", region);
    snprintf(standing, sizeof standing, "https://s3.%.60s.amazonaws.com", region);
    endpoint = endpoint[0] ? endpoint : standing;
    const bool is_plain = strncmp(endpoint, "http://", 7) == 0;
    const char *host = endpoint + (is_plain ? 7 : 8);
    if ((!is_plain && strncmp(endpoint, "https://", 8) != 0) || *host == '\0' || strpbrk(host, "/?#@ \\") != NULL)
        return error_set(err, ERROR_USAGE, "s3.endpoint: it is http://HOST:PORT or https://HOST, without a path");
    if (strcmp(settings_text(client->settings, "s3.path_style"), "true") == 0)
        snprintf(client->base, sizeof client->base, "%.300s/%.200s/", endpoint, bucket);
    else
        snprintf(client->base, sizeof client->base, "%s%.200s.%.300s/", is_plain ? "http://" : "https://", bucket, host);
    snprintf(client->signing, sizeof client->signing, "aws:amz:%.60s:s3", region);
    return true;
}

static bool read_login(struct s3_client *client, struct error *err)
{
    const char *token = settings_text(client->settings, "s3.session_token");
    if (settings_text(client->settings, "s3.access_key")[0] == '\0' || settings_text(client->settings, "s3.secret_key")[0] == '\0')
        return error_set(err, ERROR_USAGE, "s3.access_key and s3.secret_key are not set (a value as @FILE is read from a file)");
    if (strpbrk(token, "\r\n") != NULL)
        return error_set(err, ERROR_USAGE, "s3.session_token is of several lines");
    return token[0] == '\0' || asprintf(&client->token, "x-amz-security-token: %s", token) > 0 ||
           error_set(err, ERROR_RETRY, "out of memory");
}

bool s3_client_open(struct s3_client *client, const struct settings *settings, const char *bucket, struct error *err)
{
    static bool is_global;
    *client = (struct s3_client){.settings = settings};
    is_global = is_global || curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!is_global || !(client->curl = curl_easy_init()))
        return error_set(err, ERROR_RETRY, "libcurl cannot begin");
    return read_endpoint(client, bucket, err) && read_login(client, err);
}

void s3_client_close(struct s3_client *client)
{
    curl_easy_cleanup(client->curl);
    if (client->token)
        explicit_bzero(client->token, strlen(client->token));
    free(client->token);
}
