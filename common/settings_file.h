/* settings_file.h - the INI file of --config, read line by line. Part of settings.c. */
#ifndef TALLYMILL_SETTINGS_FILE_H
#define TALLYMILL_SETTINGS_FILE_H

#include <stdbool.h>

struct error;

/* Called for each "key = value": the key with its section in front ("topics.events"), borrowed for the call. May refuse. */
typedef bool settings_file_each(void *context, const char *key, const char *value, int line, struct error *err);

/* Reads the file and calls `each` in order. ERROR_USAGE with file and line at the first wrong line. */
bool settings_file_read(const char *path, settings_file_each *each, void *context, struct error *err);

/* Reads a small file whole (a secret, a list): NUL-terminated, freed by the caller. ERROR_USAGE when it cannot be read, is larger
 * than max_bytes, or holds a NUL byte. */
char *settings_file_text(const char *path, long max_bytes, struct error *err);

#endif
