/* archive_s3.c - an S3-compatible store of archives (archive_store.h), by libcurl, which signs (SigV4).
 *
 * One plain PUT a part, from memory: no multipart, so that there are no half uploads to clean up; a part is at most 512 MiB, and
 * stores take 5 GB. x-amz-content-sha256 goes with every request and is the hash of what is sent, so that a store refuses what was
 * broken on the way. Keys hold only [a-z0-9/._-], parameters are written sorted and each has its `=`: libcurl before 8.9 signs
 * others wrongly. What may pass is tried again, and waited for longer each time; what a person has to mend ends at once, and says
 * what.
 *
 * Rejected: If-None-Match against two writers, which not every store knows; the lock in Postgres keeps the second away.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "operator/archive_manifest.h"
#include "operator/archive_store.h"

enum { TRIES = 4, PAUSE_MS = 500, CONNECT_S = 10, SILENT_S = 30, LONGEST_S = 3600, URL_BYTES = 1600, PAGES_MAX = 100000 };

#define KEY_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789._-"

struct s3 {
    const struct settings *settings;
    CURL *curl;
    char *bucket, *prefix; /* prefix: "", or with its slash at the end */
    char base[700];        /* up to the bucket's slash */
    char signing[80], *token;
    bool keeps_versions; /* as an answer said */
};

/* One request and what came back. */
struct request {
    const char *method;
    char url[URL_BYTES];
    const char *body; /* NULL: none */
    size_t length;
    CURL *curl;
    struct archive_block block;
    size_t capacity;
    long status;
    char code[80]; /* of the store's XML, where it refuses: "NoSuchKey" */
    bool is_too_large;
};

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
    struct request *request = context;
    struct archive_block *block = &request->block;
    const size_t length = size * count;
    if (block->length + length > ARCHIVE_BLOCK_MAX) {
        request->is_too_large = true;
        return 0;
    }
    if (block->length + length + 1 > request->capacity) { /* at once what is to come, where the store says how much */
        curl_off_t told = -1;
        curl_easy_getinfo(request->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &told);
        const bool is_told = told >= (curl_off_t)(block->length + length) && told <= ARCHIVE_BLOCK_MAX;
        const size_t capacity = is_told ? (size_t)told + 1 : (block->length + length) * 2 + 1;
        char *wider = realloc(block->bytes, capacity);
        if (!wider)
            return 0;
        block->bytes = wider;
        request->capacity = capacity;
    }
    memcpy(block->bytes + block->length, bytes, length);
    block->length += length;
    block->bytes[block->length] = '\0';
    return length;
}

/* A store that keeps what is deleted or overwritten names the version. */
static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    static const char name[] = "x-amz-version-id:";
    struct s3 *s3 = context;
    const size_t length = size * count;
    if (length > sizeof name && strncasecmp(line, name, sizeof name - 1) == 0) {
        const char *value = line + sizeof name - 1, *end = line + length;
        while (value < end && *value == ' ')
            value++;
        s3->keeps_versions = s3->keeps_versions || end - value < 4 || strncmp(value, "null", 4) != 0;
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

static struct curl_slist *make_headers(const struct s3 *s3, const struct request *request)
{
    char hash[40 + ARCHIVE_SHA256_BYTES] = "x-amz-content-sha256: ";
    archive_sha256(hash + strlen(hash), request->body ? request->body : "", request->length);
    struct curl_slist *headers = add_header(NULL, hash);
    if (headers && s3->token)
        headers = add_header(headers, s3->token);
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

/* What stands between <NAME> and </NAME> of a store's XML; "" where it is not there. */
static const char *element(char *text, size_t size, const char *xml, const char *name)
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

static CURLcode send_once(struct s3 *s3, struct request *request)
{
    struct curl_slist *headers = make_headers(s3, request);
    CURL *curl = request->curl = s3->curl;
    free(request->block.bytes);
    request->block = (struct archive_block){0};
    request->capacity = 0;
    request->status = 0;
    request->code[0] = '\0';
    if (!headers)
        return CURLE_OUT_OF_MEMORY;
    curl_easy_reset(curl);
    set_limits(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, s3->signing);
    curl_easy_setopt(curl, CURLOPT_USERNAME, settings_text(s3->settings, "s3.access_key"));
    curl_easy_setopt(curl, CURLOPT_PASSWORD, settings_text(s3->settings, "s3.secret_key"));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, s3);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &request->status);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && request->status / 100 != 2)
        element(request->code, sizeof request->code, request->block.bytes, "Code");
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
static bool may_pass(CURLcode code, const struct request *request)
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
static const char *advice(const struct request *request)
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

static bool refused(const struct s3 *s3, CURLcode code, const struct request *request, struct error *err)
{
    char text[160];
    const char *key = request->url + strlen(s3->base);
    const enum error_kind kind = may_pass(code, request) ? ERROR_RETRY : ERROR_USAGE;
    if (request->is_too_large)
        return error_set(err, ERROR_REJECT, "%s %.200s: the store has more than %d bytes there", request->method, key,
                         ARCHIVE_BLOCK_MAX);
    if (code != CURLE_OK)
        return error_set(err, kind, "%s %.200s at %.200s: %s", request->method, key, s3->base, curl_easy_strerror(code));
    element(text, sizeof text, request->block.bytes, "Message");
    return error_set(err, kind, "%s %.200s: the store at %.200s answers %ld %s%s%s%s", request->method, key, s3->base,
                     request->status, request->code, text[0] ? ": " : "", text, advice(request));
}

/* A request, again after a while where that may help. True: 2xx, or NoSuchKey, with which `block` is empty. */
static bool ask(struct s3 *s3, struct request *request, struct error *err)
{
    for (int try = 1;; try++) { /* ends: at the latest after TRIES */
        const CURLcode code = send_once(s3, request);
        if (code == CURLE_OK && request->status / 100 == 2)
            return true;
        if (code == CURLE_OK && request->status == 404 && strcmp(request->code, "NoSuchKey") == 0 && !request->body) {
            free(request->block.bytes);
            request->block = (struct archive_block){0};
            return true;
        }
        refused(s3, code, request, err);
        if (!may_pass(code, request) || try == TRIES)
            return false;
        log_warn("the archive's store did not answer well: again after a while", "try=%d error=\"%s\"", try, err->text);
        error_clear(err);
        poll(NULL, 0, PAUSE_MS << try);
    }
}

/* Whether each segment of a path is a name: no empty one, none of dots. */
static bool is_path(const char *path)
{
    while (*path) { /* ends: each turn passes a segment */
        const size_t length = strcspn(path, "/");
        if (length == 0 || strspn(path, KEY_LETTERS) != length || strspn(path, ".") == length)
            return false;
        path += length + (path[length] == '/');
    }
    return true;
}

static bool read_target(struct s3 *s3, const char *target, struct error *err)
{
    const char *rest = target + strlen("s3://"), *slash = strchr(rest, '/'), *prefix = slash ? slash + 1 : "";
    const size_t bucket = slash ? (size_t)(slash - rest) : strlen(rest), length = strlen(prefix);
    if (bucket == 0 || bucket > 200 || strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-") != bucket || !is_path(prefix))
        return error_set(err, ERROR_USAGE,
                         "archive.target %.100s: write s3://BUCKET/PREFIX with lower case letters, digits, dots, dashes and "
                         "underscores",
                         target);
    s3->bucket = strndup(rest, bucket);
    s3->prefix = calloc(1, length + 2);
    if (!s3->bucket || !s3->prefix)
        return error_set(err, ERROR_RETRY, "out of memory");
    if (length > 0)
        snprintf(s3->prefix, length + 2, "%s%s", prefix, prefix[length - 1] == '/' ? "" : "/");
    return true;
}

static bool read_endpoint(struct s3 *s3, struct error *err)
{
    const char *endpoint = settings_text(s3->settings, "s3.endpoint"), *region = settings_text(s3->settings, "s3.region");
    char standing[200];
    if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return error_set(err, ERROR_USAGE, "s3.region %.60s: lower case letters, digits and dashes", region);
    snprintf(standing, sizeof standing, "https://s3.%.60s.amazonaws.com", region);
    endpoint = endpoint[0] ? endpoint : standing;
    const bool is_plain = strncmp(endpoint, "http://", 7) == 0;
    const char *host = endpoint + (is_plain ? 7 : 8);
    if ((!is_plain && strncmp(endpoint, "https://", 8) != 0) || *host == '\0' || strpbrk(host, "/?#@ \\") != NULL)
        return error_set(err, ERROR_USAGE, "s3.endpoint: it is http://HOST:PORT or https://HOST, without a path");
    if (strcmp(settings_text(s3->settings, "s3.path_style"), "true") == 0)
        snprintf(s3->base, sizeof s3->base, "%.300s/%.200s/", endpoint, s3->bucket);
    else
        snprintf(s3->base, sizeof s3->base, "%s%.200s.%.300s/", is_plain ? "http://" : "https://", s3->bucket, host);
    snprintf(s3->signing, sizeof s3->signing, "aws:amz:%.60s:s3", region);
    return true;
}

static bool read_login(struct s3 *s3, struct error *err)
{
    const char *token = settings_text(s3->settings, "s3.session_token");
    if (settings_text(s3->settings, "s3.access_key")[0] == '\0' || settings_text(s3->settings, "s3.secret_key")[0] == '\0')
        return error_set(err, ERROR_USAGE, "s3.access_key and s3.secret_key are not set (a value as @FILE is read from a file)");
    if (strpbrk(token, "\r\n") != NULL)
        return error_set(err, ERROR_USAGE, "s3.session_token is of several lines");
    return token[0] == '\0' || asprintf(&s3->token, "x-amz-security-token: %s", token) > 0 ||
           error_set(err, ERROR_RETRY, "out of memory");
}

static void s3_close(void *store)
{
    struct s3 *s3 = store;
    curl_easy_cleanup(s3->curl);
    free(s3->bucket);
    free(s3->prefix);
    if (s3->token)
        explicit_bzero(s3->token, strlen(s3->token));
    free(s3->token);
    free(s3);
}

static void *s3_open(const struct settings *settings, const char *target, struct error *err)
{
    static bool is_global;
    if (!is_global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(err, ERROR_RETRY, "libcurl cannot begin");
        return NULL;
    }
    is_global = true;
    struct s3 *s3 = calloc(1, sizeof *s3);
    if (!s3 || !(s3->curl = curl_easy_init())) {
        error_set(err, ERROR_RETRY, "out of memory");
        free(s3);
        return NULL;
    }
    s3->settings = settings;
    if (read_target(s3, target, err) && read_endpoint(s3, err) && read_login(s3, err))
        return s3;
    s3_close(s3);
    return NULL;
}

static struct request request_of(const struct s3 *s3, const char *method, const char *key)
{
    struct request request = {.method = method};
    snprintf(request.url, sizeof request.url, "%.600s%.500s%.120s", s3->base, s3->prefix, key);
    return request;
}

static bool s3_put(void *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    struct request request = request_of(store, "PUT", key);
    request.body = bytes;
    request.length = length;
    const bool is_put = ask(store, &request, err);
    free(request.block.bytes);
    return is_put;
}

static bool s3_get(void *store, const char *key, struct archive_block *block, struct error *err)
{
    struct request request = request_of(store, "GET", key);
    if (!ask(store, &request, err)) {
        free(request.block.bytes);
        return false;
    }
    if (!request.block.bytes && request.status != 404) /* there, and empty */
        request.block.bytes = calloc(1, 1);
    *block = request.block;
    return block->bytes || request.status == 404 || error_set(err, ERROR_RETRY, "out of memory");
}

/* Asks for the first keys below a prefix; the request holds the answer. */
static bool list(struct s3 *s3, const char *prefix, const char *limit, struct request *request, struct error *err)
{
    char full[URL_BYTES];
    snprintf(full, sizeof full, "%.500s%.120s", s3->prefix, prefix);
    char *escaped = curl_easy_escape(s3->curl, full, 0);
    if (!escaped)
        return error_set(err, ERROR_RETRY, "out of memory");
    *request = (struct request){.method = "GET"};
    snprintf(request->url, sizeof request->url, "%.600s?list-type=2%s&prefix=%.900s", s3->base, limit, escaped);
    curl_free(escaped);
    return ask(s3, request, err) &&
           ((request->status != 404 && request->block.bytes && strstr(request->block.bytes, "ListBucketResult")) ||
            error_set(err, ERROR_USAGE, "what is at %.200s is no S3-compatible store: it lists nothing", s3->base));
}

/* Deletes ours of a page of the list; *count: how many they were. What has another name than any of ours has was put there by
 * somebody else, and stays. before: the first that was deleted of the page before. */
static bool delete_page(struct s3 *s3, const char *xml, const char *prefix, char before[URL_BYTES], int *count, struct error *err)
{
    char key[URL_BYTES];
    *count = 0;
    for (const char *at = strstr(xml, "<Key>"); at; at = strstr(at + 1, "<Key>")) {
        element(key, sizeof key, at, "Key");
        if (strncmp(key, s3->prefix, strlen(s3->prefix)) != 0 || strncmp(key + strlen(s3->prefix), prefix, strlen(prefix)) != 0)
            return error_set(err, ERROR_RETRY, "the store at %.200s listed %.200s, and was asked for %.200s%s", s3->base, key,
                             s3->prefix, prefix);
        const char *name = key + strlen(s3->prefix) + strlen(prefix);
        if (*name == '\0' || name[strspn(name, KEY_LETTERS)] != '\0')
            continue;
        if (strcmp(key, before) == 0)
            return error_set(err, ERROR_RETRY, "the store at %.200s goes on listing %.200s, which was deleted", s3->base, key);
        if (*count == 0)
            snprintf(before, URL_BYTES, "%s", key);
        struct request request = request_of(s3, "DELETE", key + strlen(s3->prefix));
        const bool is_gone = ask(s3, &request, err);
        free(request.block.bytes);
        if (!is_gone)
            return false;
        ++*count;
    }
    return true;
}

static bool s3_delete_all(void *store, const char *prefix, struct error *err)
{
    struct s3 *s3 = store;
    char before[URL_BYTES] = "";
    for (int page = 0; page < PAGES_MAX; page++) { /* ends: what is listed is deleted, until nothing of ours is */
        struct request request;
        int count = 0;
        const bool is_done =
            list(s3, prefix, "", &request, err) && delete_page(s3, request.block.bytes, prefix, before, &count, err);
        const bool has_more = is_done && strstr(request.block.bytes, "<IsTruncated>true<") != NULL;
        free(request.block.bytes);
        if (!is_done || (count == 0 && !has_more))
            return is_done;
        if (count == 0)
            break;
    }
    return error_set(err, ERROR_RETRY, "the store at %.200s has more below %.100s than is ours: take out what is not", s3->base,
                     prefix);
}

static bool s3_check(void *store, struct error *err)
{
    struct request request;
    const bool is_there = list(store, "", "&max-keys=1", &request, err);
    free(request.block.bytes);
    return is_there;
}

static bool s3_keeps_versions(const void *store)
{
    return ((const struct s3 *)store)->keeps_versions;
}

const struct archive_store_kind archive_store_s3 = {
    s3_open, s3_close, s3_check, s3_put, s3_get, s3_delete_all, s3_keeps_versions};
