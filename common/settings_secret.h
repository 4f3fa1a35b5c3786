/* settings_secret.h - settings that may hold a password: checked and shown without it. Part of settings.c. */
#ifndef TALLYMILL_COMMON_SETTINGS_SECRET_H
#define TALLYMILL_COMMON_SETTINGS_SECRET_H

#include <stdbool.h>
#include <stdio.h>

#include "common/error.h"

/* Whether libpq can read the connection string, and whether the files that it names (passfile, sslkey, ...) can be read: libpq
 * itself passes over a password file that it cannot open, or that others may read, and then says "no password supplied". Also
 * refused is what libpq would take, but may have cut in another place than was meant. ERROR_USAGE, never quoting a value; or
 * ERROR_RETRY, no memory. */
MUST_CHECK bool settings_secret_check_dsn(const char *dsn, struct error *err);

/* Writes the connection string as keyword=value pairs with the passwords masked. */
void settings_secret_print_dsn(const char *dsn, FILE *out);

/* Whether a property of librdkafka, or a keyword of libpq, of this name holds a secret; in capitals too. */
bool settings_secret_is_name(const char *name);

/* Whether a value seems to hold a secret, whatever it is called: other clients' properties, addresses with a login, keys. */
bool settings_secret_is_value(const char *value);

#endif
