/* settings_secret.c - see settings_secret.h.
 *
 * libpq parses the string and says which of its parts are passwords (dispchar "*"), in either notation. Masking the text with a
 * pattern was rejected: quotes, escapes and URIs each have a way around it. libpq's own error texts are not passed on whole: they
 * quote the piece they stumbled over, and a password with a space or a % in it is just such a piece.
 */
#include "settings_secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "error.h"

static const char mask[] = "********";

/* libpq's text with what stands between quotes left out, unless it is the name of an option. */
static void parse_failed(const char *message, struct error *err)
{
    char shown[256];
    size_t used = 0;
    bool is_option = strncmp(message, "invalid connection option", 25) == 0;
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
    PQconninfoOption *options = PQconninfoParse(dsn, &message);
    if (options == NULL) {
        parse_failed(message != NULL ? message : "out of memory", err);
        PQfreemem(message);
        return false;
    }
    bool ok = true;
    for (const PQconninfoOption *option = options; ok && option->keyword != NULL; option++)
        if (option->val != NULL && option->val[0] != '\0')
            ok = check_file(option, err);
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
        print_quoted(option->dispchar[0] == '*' ? mask : option->val, out);
        separator = " ";
    }
    PQconninfoFree(options);
}

bool settings_secret_is_kafka(const char *name)
{
    static const char *const parts[] = {"password", "secret", ".key.pem", "oauthbearer.config"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i]) != NULL)
            return true;
    return false;
}
