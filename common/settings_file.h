/* settings_file.h - the INI file of --config, read line by line. Part of settings.c; the producer library
 * reads its own with it. */
#ifndef TALLYMILL_COMMON_SETTINGS_FILE_H
#define TALLYMILL_COMMON_SETTINGS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* Called for each "key = value": the key with its section in front ("topics.events"), borrowed for the call. May refuse. */
typedef bool settings_file_each(void *context, const char *key, const char *value, int line, struct error *err);

/* The value of this key holds what looks like a comment behind it. */
typedef void settings_file_warn(void *context, const char *key, int line);

/* Reads the file and calls `each` in order. ERROR_USAGE with file and line at the first wrong line. */
MUST_CHECK bool settings_file_read(const char *path, settings_file_each *each, settings_file_warn *warn, void *context,
                                   struct error *err);

/* The value behind a text, freed by the caller: itself, what its file holds when it begins with @ (settings.h), or itself without
 * the first @ of two. settings_path: of the file of settings, beside which a credential is looked for without systemd; or NULL.
 * is_secret: what is no file is not quoted, for it may be the secret. NULL: ERROR_USAGE, ERROR_RETRY. */
MUST_CHECK char *settings_file_value(const char *written, const char *settings_path, bool is_secret, struct error *err);

/* Whether a key that does not exist may be quoted: a connection string on a line of its own is none. */
bool settings_file_may_show_key(const char *key);

/* Reads a small file whole (a secret, a list): NUL-terminated, freed by the caller. ERROR_USAGE when it cannot be read, is larger
 * than max_bytes, or holds a NUL byte. */
MUST_CHECK char *settings_file_text(const char *path, long max_bytes, struct error *err);

/* A number that another content of the file would (nearly surely) not have, whatever its name and times: of its first MiB. Of a
 * folder: of the names, sizes and times in it. 0: it cannot be read. */
int64_t settings_file_mark(const char *path);

#endif
