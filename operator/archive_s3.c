/* archive_s3.c - an S3-compatible store of archives (archive_store.h).
 *
 * One plain PUT a part, from memory: no multipart, so that there are no half uploads to clean up; a part is at most 512 MiB, and
 * stores take 5 GB. Keys hold only [a-z0-9/._-], which no store and no signature writes otherwise.
 *
 * Rejected: If-None-Match against two writers, which not every store knows; the lock in Postgres keeps the second away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "operator/archive_store.h"
#include "operator/s3_client.h"

enum { PAGES_MAX = 100000, BUCKET_BYTES = 201, PREFIX_BYTES = 502 };

#define KEY_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789._-"

struct s3 {
    struct s3_client client;
    char bucket[BUCKET_BYTES];
    char prefix[PREFIX_BYTES]; /* "", or with its slash at the end */
};

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
    if (bucket == 0 || bucket >= BUCKET_BYTES || strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-") != bucket ||
        length + 2 > PREFIX_BYTES || !is_path(prefix))
        return error_set(err, ERROR_USAGE,
                         "archive.target %.100s: write s3://BUCKET/PREFIX with lower case letters, digits, dots, dashes and "
                         "underscores, a prefix of %d bytes at most",
                         strchr(target, '@') ? "..." : target, PREFIX_BYTES - 2); /* a login belongs into no log */
    memcpy(s3->bucket, rest, bucket);
    snprintf(s3->prefix, sizeof s3->prefix, "%s%s", prefix, length > 0 && prefix[length - 1] != '/' ? "/" : "");
    return true;
}

static void s3_close(void *store)
{
    struct s3 *s3 = store;
    s3_client_close(&s3->client);
    free(s3);
}

static void *s3_open(const struct settings *settings, const char *target, struct error *err)
{
    struct s3 *s3 = calloc(1, sizeof *s3);
    if (!s3) {
        error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    if (read_target(s3, target, err) && s3_client_open(&s3->client, settings, s3->bucket, err))
        return s3;
    s3_close(s3);
    return NULL;
}

static struct s3_request request_of(const struct s3 *s3, const char *method, const char *key)
{
    struct s3_request request = {.method = method};
    snprintf(request.url, sizeof request.url, "%.600s%.500s%.120s", s3->client.base, s3->prefix, key);
    return request;
}

static bool s3_put(void *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    struct s3 *s3 = store;
    struct s3_request request = request_of(s3, "PUT", key);
    request.body = bytes;
    request.length = length;
    const bool is_put = s3_client_ask(&s3->client, &request, err);
    buffer_reset(&request.answer);
    return is_put;
}

static bool s3_get(void *store, const char *key, struct archive_block *block, struct error *err)
{
    struct s3 *s3 = store;
    struct s3_request request = request_of(s3, "GET", key);
    if (!s3_client_ask(&s3->client, &request, err)) {
        buffer_reset(&request.answer);
        return false;
    }
    const bool has_room = request.status == 404 || buffer_reserve(&request.answer, 0); /* it may be there, and empty */
    *block = (struct archive_block){request.answer.bytes, request.answer.length};
    return has_room || error_set(err, ERROR_RETRY, "out of memory");
}

/* Asks for the first keys below a prefix; the request holds the answer. */
static bool list(struct s3 *s3, const char *prefix, const char *limit, struct s3_request *request, struct error *err)
{
    char full[S3_URL_BYTES];
    *request = (struct s3_request){.method = "GET"};
    snprintf(full, sizeof full, "%.500s%.120s", s3->prefix, prefix);
    char *escaped = curl_easy_escape(s3->client.curl, full, 0);
    if (!escaped)
        return error_set(err, ERROR_RETRY, "out of memory");
    snprintf(request->url, sizeof request->url, "%.600s?list-type=2%s&prefix=%.900s", s3->client.base, limit, escaped);
    curl_free(escaped);
    return s3_client_ask(&s3->client, request, err) &&
           ((request->status != 404 && request->answer.bytes && strstr(request->answer.bytes, "ListBucketResult")) ||
            error_set(err, ERROR_USAGE, "what is at %.200s is no S3-compatible store: it lists nothing", s3->client.base));
}

/* What is to be deleted, and how far that is. */
struct deletion {
    const char *prefix, *last;
    char before[S3_URL_BYTES]; /* the first key that was deleted of the page before */
    int of_page, count;
    bool has_last; /* it was listed */
};

static bool delete_key(struct s3 *s3, const char *key, struct deletion *deletion, struct error *err)
{
    struct s3_request request = request_of(s3, "DELETE", key);
    const bool is_gone = s3_client_ask(&s3->client, &request, err);
    buffer_reset(&request.answer);
    deletion->count += is_gone;
    return is_gone;
}

/* Deletes ours of a page of the list, but for the last. What has another name than any of ours has was put there by somebody else,
 * and stays. */
static bool delete_page(struct s3 *s3, const char *xml, struct deletion *deletion, struct error *err)
{
    char key[S3_URL_BYTES];
    const char *prefix = deletion->prefix;
    deletion->of_page = 0;
    for (const char *at = strstr(xml, "<Key>"); at; at = strstr(at + 1, "<Key>")) {
        s3_element(key, sizeof key, at, "Key");
        if (strncmp(key, s3->prefix, strlen(s3->prefix)) != 0 || strncmp(key + strlen(s3->prefix), prefix, strlen(prefix)) != 0)
            return error_set(err, ERROR_RETRY, "the store at %.200s listed %.200s, and was asked for %.200s%s", s3->client.base,
                             key, s3->prefix, prefix);
        const char *name = key + strlen(s3->prefix) + strlen(prefix);
        if (*name == '\0' || name[strspn(name, KEY_LETTERS)] != '\0')
            continue;
        if (strcmp(name, deletion->last) == 0) {
            deletion->has_last = true;
            continue;
        }
        if (strcmp(key, deletion->before) == 0)
            return error_set(err, ERROR_RETRY, "the store at %.200s goes on listing %.200s, which was deleted", s3->client.base,
                             key);
        if (deletion->of_page == 0)
            snprintf(deletion->before, sizeof deletion->before, "%s", key);
        if (!delete_key(s3, key + strlen(s3->prefix), deletion, err))
            return false;
        deletion->of_page++;
    }
    return true;
}

static bool delete_pages(struct s3 *s3, struct deletion *deletion, struct error *err)
{
    for (int page = 0; page < PAGES_MAX; page++) { /* ends: what is listed is deleted, until nothing of ours is but the last */
        struct s3_request request;
        const bool is_done = list(s3, deletion->prefix, "", &request, err) && delete_page(s3, request.answer.bytes, deletion, err);
        const bool has_more = is_done && strstr(request.answer.bytes, "<IsTruncated>true<") != NULL;
        buffer_reset(&request.answer);
        if (!is_done || (deletion->of_page == 0 && !has_more))
            return is_done;
        if (deletion->of_page == 0)
            break;
    }
    return error_set(err, ERROR_RETRY, "the store at %.200s has more below %.100s than is ours: take out what is not",
                     s3->client.base, deletion->prefix);
}

static bool s3_delete_all(void *store, const char *prefix, const char *last, int *count, struct error *err)
{
    struct deletion deletion = {.prefix = prefix, .last = last};
    char key[S3_URL_BYTES];
    snprintf(key, sizeof key, "%s%s", prefix, last);
    const bool is_deleted = delete_pages(store, &deletion, err) && (!deletion.has_last || delete_key(store, key, &deletion, err));
    *count = deletion.count;
    return is_deleted;
}

static bool s3_check(void *store, struct error *err)
{
    struct s3_request request;
    const bool is_there = list(store, "", "&max-keys=1", &request, err);
    buffer_reset(&request.answer);
    return is_there;
}

static bool s3_keeps_versions(const void *store)
{
    return ((const struct s3 *)store)->client.keeps_versions;
}

static bool s3_is_bare(const void *store)
{
    (void)store;
    return false;
}

/* Whoever has the secret may use it: nobody else is kept out. */
static bool s3_rights(const void *store, struct archive_rights *rights, struct error *err)
{
    (void)store;
    (void)err;
    *rights = (struct archive_rights){.is_owner = false};
    return true;
}

const struct archive_store_kind archive_store_s3 = {s3_open,       s3_close,          s3_check,   s3_put,   s3_get,
                                                    s3_delete_all, s3_keeps_versions, s3_is_bare, s3_rights};
