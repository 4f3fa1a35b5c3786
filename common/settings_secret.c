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
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "common/error.h"

static const char mask[] = "********";

static const char uri_advice[] =
    "in a URI write each @ of user and password as %40, / as %2F, ? as %3F and % as %25, or put the password "
    "into the file of passfile=";

/* How much of libpq's text is its own: up to the first quote behind which the connection string begins. What stands between quotes
 * cannot be told from what follows it, for a password may hold a quote itself. The name of an option is shown where the string
 * holds no password. */
static size_t own_words(const char *dsn, const char *message)
{
    static const char *const begins[] = {"missing \"=\" after ", "missing key/value separator \"=\" in ",
                                         "extra key/value separator \"=\" in ",
                                         "end of string reached when looking for matching \"]\" in "};
    if (strncmp(message, "invalid connection option", 25) == 0 && strcasestr(dsn, "pass") == NULL && strpbrk(dsn, ":@/") == NULL)
        return strcspn(message, "\n");
    size_t own = 0;
    for (size_t i = 0; own == 0 && i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(message, begins[i], strlen(begins[i])) == 0)
            own = strlen(begins[i]);
    return own + strcspn(message + own, "\"\n");
}

static void parse_failed(const char *dsn, const char *message, struct error *err)
{
    const size_t own = own_words(dsn, message);
    error_set(err, ERROR_USAGE,
              "not a connection string: %.*s%s (a value with spaces stands between single quotes; in a URI write %% as %%25)",
              own < 200 ? (int)own : 200, message, message[own] == '"' ? "\"...\"" : "");
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

/* libpq passes over a password file that others may read, and says so to nobody who reads our log. One that it will not look into,
 * because the password stands in the string, or that is no plain file (/dev/null), may be as it likes. */
static bool check_passfile(const PQconninfoOption *option, const char *path, struct error *err)
{
    struct stat is;
    while (option->keyword != NULL && strcmp(option->keyword, "password") != 0)
        option++;
    const bool is_read = option->keyword == NULL || option->val == NULL || option->val[0] == '\0';
    if (!is_read || stat(path, &is) != 0 || !S_ISREG(is.st_mode) || (is.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return true;
    return error_set(err, ERROR_USAGE, "passfile: others may read %s (mode %03o), and libpq passes over such a file: chmod 600 it",
                     path, (unsigned)is.st_mode & 0777);
}

static bool check_file(const PQconninfoOption *options, const PQconninfoOption *option, struct error *err)
{
    static const char *const files[] = {"passfile", "sslkey", "sslcert", "sslrootcert", "sslcrl"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(option->keyword, files[i]) != 0 || strcmp(option->val, "system") == 0)
            continue;
        if (access(option->val, R_OK) != 0)
            return error_set(err, ERROR_USAGE, "%s: cannot read %s: %s", option->keyword, option->val, strerror(errno));
    }
    return strcmp(option->keyword, "passfile") != 0 || check_passfile(options, option->val, err);
}

bool settings_secret_check_dsn(const char *dsn, struct error *err)
{
    char *message = NULL;
    if (!check_form(dsn, err))
        return false;
    PQconninfoOption *options = PQconninfoParse(dsn, &message);
    if (options == NULL) {
        if (message == NULL || strncmp(message, "out of memory", 13) == 0)
            error_set(err, ERROR_RETRY, "out of memory for reading postgres.dsn");
        else
            parse_failed(dsn, message, err);
        PQfreemem(message);
        return false;
    }
    bool ok = true;
    for (const PQconninfoOption *option = options; ok && option->keyword != NULL; option++)
        if (option->val != NULL && option->val[0] != '\0')
            ok = check_part(option->keyword, option->val, err) && check_file(options, option, err);
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
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

bool settings_secret_is_value(const char *value)
{
    static const char *const parts[] = {"password=", "password =", "passwd=", "secret=", "secret =", "PRIVATE KEY"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcasestr(value, parts[i]) != NULL)
            return true;
    const char *at = strrchr(value, '@'); /* USER:PASSWORD@HOST, with a scheme in front or without */
    return at != NULL && memchr(value, ':', (size_t)(at - value)) != NULL;
}
