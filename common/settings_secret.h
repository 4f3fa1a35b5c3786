/* settings_secret.h - settings that may hold a password: checked and shown without it. Part of settings.c. */
#ifndef TALLYMILL_SETTINGS_SECRET_H
#define TALLYMILL_SETTINGS_SECRET_H

#include <stdbool.h>
#include <stdio.h>

struct error;

/* Whether libpq can read the connection string, and whether the files that it names (passfile, sslkey, ...) can be read: libpq
 * itself passes over a password file that it cannot open, and the server then says "no password supplied". ERROR_USAGE, never
 * quoting a value. */
bool settings_secret_check_dsn(const char *dsn, struct error *err);

/* Writes the connection string as keyword=value pairs with the passwords masked. */
void settings_secret_print_dsn(const char *dsn, FILE *out);

/* Whether a librdkafka property holds a secret. */
bool settings_secret_is_kafka(const char *name);

#endif
