/* settings_secret.c - see settings_secret.h.
 *
 * libpq parses the string and says which of its parts are passwords (dispchar "*"), in either notation. Masking the text with a
 * pattern was rejected: quotes, escapes and URIs each have a way around it. libpq's own error texts are not passed on whole: they
 * quote the piece they stumbled over, and a password with a space or a % in it is just such a piece.
 *
 * But libpq takes more than what was meant: of postgresql://me:a@b/c@host/db it makes host "b" and database "c@host/db", and then
 * half of a password stands in every message. So what may have been cut in the wrong place is refused before it is used, without a
 * word of it: better an error about a sound but odd connection string than a password in a log.
 */
#include "common/settings_secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "common/error.h"

static const char mask[] = "********";

static const char uri_advice[] =
    "in a URI write each @ of user and password as %40, / as %2F, ? as %3F and % as %25, or put the password "
    "into the file of passfile=";

/* libpq's text with what stands between quotes left out, unless it is the name of an option in a string that shows no password. */
static void parse_failed(const char *dsn, const char *message, struct error *err)
{
    char shown[256];
    size_t used = 0;
    bool is_option =
        strncmp(message, "invalid connection option", 25) == 0 && strcasestr(dsn, "pass") == NULL && strpbrk(dsn, ":@/") == NULL;
    bool in_quotes = false;
    for (const char *at = message; *at != '\0' && used + 5 < sizeof shown; at++) {
        if (*at == '"') {
            in_quotes = !in_quotes;
            if (in_quotes && !is_option) {
                memcpy(shown + used, "\"...", 4);
                used += 4;
                continue;
            }
        } else if (in_quotes && !is_option) {
            continue;
        }
        shown[used++] = *at;
    }
    shown[used] = '\0';
    error_set(err, ERROR_USAGE,
              "not a connection string: %s (a value with spaces stands between single quotes; in a URI write %% as %%25)", shown);
}

/* The text behind the scheme, or NULL when libpq takes this for keyword=value pairs. */
static const char *uri_body(const char *dsn)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(dsn, schemes[i], strlen(schemes[i])) == 0)
            return dsn + strlen(schemes[i]);
    return NULL;
}

/* libpq ends user and password at the first @, which it looks for up to the first /. An @ further on is a password's that was cut,
 * or may be; one in a value of the query is let pass where nothing follows that could be the rest of a URI. */
static bool check_form(const char *dsn, struct error *err)
{
    const char *body = uri_body(dsn), *scheme = strstr(dsn, "://");
    if (body == NULL && scheme != NULL && memchr(dsn, '=', (size_t)(scheme - dsn)) == NULL)
        return error_set(err, ERROR_USAGE, "not a connection string: a URI begins with postgresql:// or postgres://");
    if (body == NULL)
        return true;
    const char *user_end = memchr(body, '@', strcspn(body, "/"));
    const char *rest = user_end != NULL ? user_end + 1 : body;
    const char *next = strchr(rest, '@'), *query = strchr(rest, '?');
    if (next == NULL || (query != NULL && query < next && strpbrk(next, "/?") == NULL))
        return true;
    return error_set(err, ERROR_USAGE, "an @ stands where none can be; %s", uri_advice);
}

/* What libpq has made of the parts. */
static bool check_part(const char *keyword, const char *value, struct error *err)
{
    if (strcmp(keyword, "port") == 0 && value[strspn(value, "0123456789, ")] != '\0')
        return error_set(err, ERROR_USAGE, "the port is no number; in a URI user and password end with an @: %s", uri_advice);
    if (strcmp(keyword, "dbname") == 0 && (strstr(value, "://") != NULL || strchr(value, '=') != NULL))
        return error_set(err, ERROR_USAGE, "dbname is a whole connection string; make it the value of postgres.dsn");
    if (strncmp(keyword, "host", 4) == 0 && (strstr(value, "://") != NULL || (strchr(value, '@') != NULL && value[0] != '@')))
        return error_set(err, ERROR_USAGE, "%s names more than a host; user and password have parts of their own", keyword);
    return true;
}

static bool check_file(const PQconninfoOption *option, struct error *err)
{
    static const char *const files[] = {"passfile", "sslkey", "sslcert", "sslrootcert", "sslcrl"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(option->keyword, files[i]) != 0 || strcmp(option->val, "system") == 0)
            continue;
        if (access(option->val, R_OK) != 0)
            return error_set(err, ERROR_USAGE, "%s: cannot read %s: %s", option->keyword, option->val, strerror(errno));
    }
    return true;
}

bool settings_secret_check_dsn(const char *dsn, struct error *err)
{
    char *message = NULL;
    if (!check_form(dsn, err))
        return false;
    PQconninfoOption *options = PQconninfoParse(dsn, &message);
    if (options == NULL) {
        parse_failed(dsn, message != NULL ? message : "out of memory", err);
        PQfreemem(message);
        return false;
    }
    bool ok = true;
    for (const PQconninfoOption *option = options; ok && option->keyword != NULL; option++)
        if (option->val != NULL && option->val[0] != '\0')
            ok = check_part(option->keyword, option->val, err) && check_file(option, err);
    PQconninfoFree(options);
    return ok;
}

/* As libpq reads it back: between single quotes with \ before ' and \, unless it is plain. */
static void print_quoted(const char *value, FILE *out)
{
    if (value[0] != '\0' && strpbrk(value, " \t\r\n\v\f'\\") == NULL) {
        fputs(value, out);
        return;
    }
    putc('\'', out);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            putc('\\', out);
        putc(*value == '\n' ? ' ' : *value, out);
    }
    putc('\'', out);
}

void settings_secret_print_dsn(const char *dsn, FILE *out)
{
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    const char *separator = "";
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        if (option->val == NULL)
            continue;
        fprintf(out, "%s%s=", separator, option->keyword);
        bool is_secret =
            option->dispchar[0] == '*' || settings_secret_is_name(option->keyword) || settings_secret_is_value(option->val);
        print_quoted(is_secret ? mask : option->val, out);
        separator = " ";
    }
    PQconninfoFree(options);
}

bool settings_secret_is_name(const char *name)
{
    static const char *const parts[] = {"password", "passphrase",   "secret",           ".key.pem",        "oauthbearer.config",
                                        "jaas",     "keystore.key", "scram_client_key", "scram_server_key"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i]) != NULL)
            return true;
    return false;
}

bool settings_secret_is_value(const char *value)
{
    static const char *const parts[] = {"password=", "password =", "passwd=", "secret=", "secret =", "PRIVATE KEY"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcasestr(value, parts[i]) != NULL)
            return true;
    const char *scheme = strstr(value, "://");
    return scheme != NULL && strchr(scheme, '@') != NULL;
}
