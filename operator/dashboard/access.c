/* access.c - see access.h.
 *
 * Comparing takes the same time whatever was typed: both are hashed, with a key that only this process knows, and the hashes
 * compared whole. So a wrong token, one that is right up to its last character and one that is too short cannot be told apart by a
 * clock. Tries are counted by address, in a table of fixed size: a flood from many addresses pushes the counts of others out, but
 * each of its own tries still meets 32 characters. Who comes from this host is mostly the proxy that docs/dashboard.md asks for:
 * then the address that the proxy has seen counts, or five wrong tokens of anybody would keep everybody out. A setting that names
 * proxies was rejected: it would have to be set before the documented one works.
 */
#include "operator/dashboard/access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <xxhash.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/http_answer.h"
#include "common/http_request.h"
#include "common/log.h"
#include "common/settings.h"

enum {
    TOKEN_MIN = 32,
    SESSION_BYTES = 32,
    SESSION_HEX = 2 * SESSION_BYTES,
    SESSIONS = 256,
    ADDRESSES = 1024,
    TRIES = 5,
    HOST_BYTES = 256,
    SESSION_SECONDS = 12 * 3600
};

#define TRIES_US (60 * CLOCK_SECOND_US)

struct session {
    char id[SESSION_HEX + 1];
    int64_t until_us; /* 0: none */
};

struct tries {
    char client[HTTP_CLIENT_BYTES];
    int count;
    int64_t since_us;
};

struct access {
    const char *token; /* "": none is asked for */
    const char *hosts;
    bool is_secure;
    uint64_t key;
    pthread_mutex_t lock;
    struct session sessions[SESSIONS];
    struct tries tries[ADDRESSES];
};

extern const char login_html[];
extern const size_t login_html_length;

/* ---- settings ---- */

/* "[::1]:9460" or "127.0.0.1:9460" as what stands before the port. */
static void cut_port(const char *text, char host[HOST_BYTES])
{
    const bool has_brackets = text[0] == '[';
    const char *end = has_brackets ? strchr(text, ']') : strrchr(text, ':');
    if (!end)
        end = text + strlen(text);
    snprintf(host, HOST_BYTES, "%.*s", (int)(end - text - has_brackets), text + has_brackets);
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0 ||
           strncmp(host, "::ffff:127.", 11) == 0;
}

bool access_check(const struct settings *settings, struct error *err)
{
    char host[HOST_BYTES];
    const char *listen = settings_text(settings, "dashboard.listen"), *token = settings_text(settings, "dashboard.token");
    cut_port(listen, host);
    if (token[0] != '\0' && strlen(token) < TOKEN_MIN)
        return error_set(err, ERROR_USAGE, "%s: dashboard.token has fewer than %d characters; make one with: openssl rand -hex 32",
                         settings_origin(settings, "dashboard.token"), TOKEN_MIN);
    if (token[0] == '\0' && !is_loopback(host))
        return error_set(err, ERROR_USAGE,
                         "%s: dashboard.listen is not this machine's own loopback, so dashboard.token must be set: whoever reaches "
                         "the port reads all figures",
                         settings_origin(settings, "dashboard.listen"));
    return true;
}

struct access *access_new(const struct settings *settings, struct error *err)
{
    struct access *access = access_check(settings, err) ? calloc(1, sizeof *access) : NULL;
    if (!access) {
        if (err->kind == ERROR_NONE)
            error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    access->token = settings_text(settings, "dashboard.token");
    access->hosts = settings_text(settings, "dashboard.hosts");
    access->is_secure = strcmp(settings_text(settings, "dashboard.cookie_secure"), "on") == 0;
    pthread_mutex_init(&access->lock, NULL);
    if (getrandom(&access->key, sizeof access->key, 0) == sizeof access->key)
        return access;
    error_set(err, ERROR_RETRY, "the kernel gave no random bytes");
    access_free(access);
    return NULL;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    pthread_mutex_destroy(&access->lock);
    free(access);
}

/* ---- Host ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* Whether the name is one of the list, which commas and blanks separate. */
static bool is_listed(const char *list, const char *host)
{
    const size_t length = strlen(host);
    for (const char *at = list + strspn(list, ", "); *at != '\0'; at += strspn(at, ", ")) { /* ends: with the list */
        const size_t word = strcspn(at, ", ");
        if (word == length && strncasecmp(at, host, length) == 0)
            return true;
        at += word;
    }
    return false;
}

bool access_is_host(const struct access *access, const struct http_request *request)
{
    char host[HOST_BYTES];
    const char *said = http_header(request, "Host");
    if (!said || strlen(said) >= HOST_BYTES)
        return false;
    cut_port(said, host);
    return strcasecmp(host, "localhost") == 0 || is_address(host) || is_listed(access->hosts, host);
}

/* ---- the token ---- */

static bool is_same(const struct access *access, const char *one, const char *other)
{
    const XXH128_hash_t first = XXH3_128bits_withSeed(one, strlen(one), access->key),
                        second = XXH3_128bits_withSeed(other, strlen(other), access->key);
    return ((first.low64 ^ second.low64) | (first.high64 ^ second.high64)) == 0;
}

static bool has_session(struct access *access, const char *id, int64_t now_us)
{
    bool is_known = false;
    pthread_mutex_lock(&access->lock);
    for (int i = 0; i < SESSIONS; i++)
        is_known |= access->sessions[i].until_us > now_us && is_same(access, access->sessions[i].id, id);
    pthread_mutex_unlock(&access->lock);
    return is_known;
}

/* Who asks: the peer, or behind a proxy on this host the last element of X-Forwarded-For, which that proxy has written; those
 * before it are whatever its client said. What is no address is passed over. */
static void client_of(const struct http_request *request, char client[HTTP_CLIENT_BYTES])
{
    char element[HOST_BYTES], host[HOST_BYTES];
    const char *list = is_loopback(http_client(request, client)) ? http_last_header(request, "X-Forwarded-For") : NULL;
    if (!list)
        return;
    const char *comma = strrchr(list, ',');
    list = comma ? comma + 1 : list;
    list += strspn(list, " \t");
    snprintf(element, sizeof element, "%.*s", (int)strcspn(list, " \t"), list);
    cut_port(element, host);
    if (is_address(element) || is_address(host))
        snprintf(client, HTTP_CLIENT_BYTES, "%.*s", HTTP_CLIENT_BYTES - 1, is_address(element) ? element : host);
}

/* Counts a try that failed. False: it was one too many within a minute. */
static bool may_try(struct access *access, const char *client, int64_t now_us, bool has_failed)
{
    struct tries *tries = &access->tries[XXH3_64bits_withSeed(client, strlen(client), access->key) % ADDRESSES];
    pthread_mutex_lock(&access->lock);
    if (strcmp(tries->client, client) != 0 || now_us - tries->since_us > TRIES_US) {
        snprintf(tries->client, sizeof tries->client, "%s", client);
        tries->count = 0;
        tries->since_us = now_us;
    }
    tries->count += has_failed;
    const bool may = tries->count < TRIES + has_failed;
    pthread_mutex_unlock(&access->lock);
    return may;
}

bool access_is_let_in(struct access *access, const struct http_request *request, int64_t now_us)
{
    static const char bearer[] = "Bearer ";
    char client[HTTP_CLIENT_BYTES];
    if (access->token[0] == '\0')
        return true;
    const char *cookie = http_cookie(request, "session"), *said = http_header(request, "Authorization");
    if (cookie && strlen(cookie) == SESSION_HEX && has_session(access, cookie, now_us))
        return true;
    if (!said || strncmp(said, bearer, sizeof bearer - 1) != 0)
        return false;
    client_of(request, client);
    if (!may_try(access, client, now_us, false))
        return false;
    const bool is_right = is_same(access, access->token, said + sizeof bearer - 1);
    if (!is_right)
        may_try(access, client, now_us, true);
    return is_right;
}

/* ---- the form ---- */

/* A session in the place that is free or ends first. False: no random bytes. */
static bool make_session(struct access *access, char id[SESSION_HEX + 1], int64_t now_us)
{
    unsigned char bytes[SESSION_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return false;
    for (int i = 0; i < SESSION_BYTES; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    pthread_mutex_lock(&access->lock);
    struct session *chosen = &access->sessions[0];
    for (int i = 1; i < SESSIONS; i++)
        if (access->sessions[i].until_us < chosen->until_us)
            chosen = &access->sessions[i];
    memcpy(chosen->id, id, SESSION_HEX + 1);
    chosen->until_us = now_us + SESSION_SECONDS * CLOCK_SECOND_US;
    pthread_mutex_unlock(&access->lock);
    return true;
}

static int hex_digit(char character)
{
    return isdigit((unsigned char)character)    ? character - '0'
           : isxdigit((unsigned char)character) ? tolower((unsigned char)character) - 'a' + 10
                                                : -1;
}

/* The value of token= in a form, decoded; from malloc. */
static char *form_token(const char *body)
{
    static const char name[] = "token=";
    const char *at = strncmp(body, name, sizeof name - 1) == 0 ? body : strstr(body, "&token=");
    char *token = at ? malloc(strlen(at) + 1) : NULL, *to = token;
    if (!token)
        return NULL;
    for (at = strchr(at, '=') + 1; *at != '\0' && *at != '&'; at++) {
        const int high = *at == '%' ? hex_digit(at[1]) : -1, low = high >= 0 ? hex_digit(at[2]) : -1;
        *to++ = *at == '+' ? ' ' : low >= 0 ? (char)(high * 16 + low) : *at;
        at += low >= 0 ? 2 : 0;
    }
    *to = '\0';
    return token;
}

static void show_form(struct http_answer *answer, unsigned status)
{
    http_answer_status(answer, status, "text/html; charset=utf-8");
    http_answer_constant(answer, login_html, login_html_length);
}

void access_login(struct access *access, struct http_request *request, struct http_answer *answer, int64_t now_us)
{
    char client[HTTP_CLIENT_BYTES], id[SESSION_HEX + 1], cookie[SESSION_HEX + 128];
    size_t length;
    client_of(request, client);
    if (strcmp(http_method(request), "POST") != 0) {
        show_form(answer, 200);
        return;
    }
    if (!may_try(access, client, now_us, false)) {
        http_answer_text(answer, 429, "too many tries: wait a minute\n");
        return;
    }
    char *token = form_token(http_body(request, &length));
    const bool is_right = token && access->token[0] != '\0' && is_same(access, access->token, token);
    free(token);
    if (!is_right) {
        may_try(access, client, now_us, true);
        log_warn("a wrong token was shown", "client=%s", client);
        show_form(answer, 403);
        return;
    }
    if (!make_session(access, id, now_us)) {
        http_answer_text(answer, 500, "the kernel gave no random bytes\n");
        return;
    }
    snprintf(cookie, sizeof cookie, "session=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", id, SESSION_SECONDS,
             access->is_secure ? "; Secure" : "");
    http_answer_header(answer, "Set-Cookie", cookie);
    http_answer_header(answer, "Location", "/");
    http_answer_text(answer, 303, "welcome\n");
}
