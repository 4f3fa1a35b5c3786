/* settings.h - what operators set: one table drives reading, checking, printing and the documentation.
 *
 * A value comes from, later wins: the table's default, the INI file of --config, --set KEY=VALUE. All programs read the same
 * file, so every program knows the whole table. Unknown keys are errors that suggest the nearest known key, and so is a key that
 * one file gives twice. `kafka.*` goes to librdkafka unread; `postgres.dsn` to libpq.
 *
 * A text that begins with @ is the name of a file that holds the value (the newline at its end cut): an absolute path, or a name
 * in $CREDENTIALS_DIRECTORY, where systemd's LoadCredential= puts it; where that is not set (a shell), beside the file. A value
 * that really begins with @ is written with two. The file of a value that a program does not use is let alone: each has secrets
 * of its own. Of kafka.*, which an aggregator and many commands do not use, one that cannot be read is told when it is to be used.
 * Values with a secret are never printed: settings_print masks those that are IS_SECRET in the table, the passwords of a DSN, and
 * what of kafka.* is one by its name or looks like one (settings_secret.h).
 * Read at the start by one thread; then constant, but for what settings_adopt() takes over.
 */
#ifndef TALLYMILL_COMMON_SETTINGS_H
#define TALLYMILL_COMMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "common/settings_table.h"

struct settings;

/* Defaults, then the file (NULL: none), then `sets` ("KEY=VALUE", `set_count` of them). NULL and ERROR_USAGE with file, line and
 * key on the first wrong one. Owned by the caller until settings_free. */
MUST_CHECK struct settings *settings_load(const char *path, const char *const *sets, size_t set_count, struct error *err);
void settings_free(struct settings *settings);

/* The same for these programs (setting_program bits) only. */
MUST_CHECK struct settings *settings_load_for(unsigned programs, const char *path, const char *const *sets, size_t set_count,
                                              struct error *err);

/* Reads the same file and the same `sets` again, for the same programs. As settings_load. */
MUST_CHECK struct settings *settings_load_again(const struct settings *settings, struct error *err);

/* Takes over from `fresh` what this program can change while it runs (IS_LIVE in the table), and logs each such change,
 * and each change that waits for the next start. log.level is in force afterwards; the rest is the caller's to look up again. Texts
 * that were asked for before and have changed are gone once `fresh` is freed. */
void settings_adopt(struct settings *settings, struct settings *fresh, unsigned program);

/* Whether the two have the same postgres.dsn, and the same kafka.*, contents of the files included that they name. */
bool settings_is_same_dsn(const struct settings *one, const struct settings *other);
bool settings_is_same_kafka(const struct settings *one, const struct settings *other);

/* Whether all other settings of this program are the same, those included that settings_adopt() does not take. */
bool settings_is_same(const struct settings *one, const struct settings *other, unsigned program);

/* The log's last line about a SIGHUP: that the settings were read again, and where they are what they were, that nothing was done.
 */
void settings_tell_read(bool is_same);

/* Whether kafka.* is the same as an operator wrote it, whatever the files hold. */
bool settings_is_written_same_kafka(const struct settings *one, const struct settings *other);

/* What settings_adopt() leaves to the caller, who proves it first. Each of the two gets the other's. */
void settings_swap_dsn(struct settings *one, struct settings *other);
void settings_swap_kafka(struct settings *one, struct settings *other);

/* Before a new connection: where postgres.dsn is @FILE, the file is read again (its text before is gone then). False: it cannot be,
 * or holds no connection string; the text before stays. ERROR_USAGE. */
MUST_CHECK bool settings_refresh_dsn(struct settings *settings, struct error *err);

/* Whether a program takes a change of it while it runs. */
bool settings_is_live(const struct setting *setting, unsigned program);

/* The value of a key of the table (asserts that it exists and has that type). Text is valid until settings_free. */
const char *settings_text(const struct settings *settings, const char *key);    /* TEXT, CHOICE; "" when empty */
int64_t settings_int(const struct settings *settings, const char *key);         /* COUNT, BYTES, DURATION */
const char *settings_written(const struct settings *settings, const char *key); /* any: as it was given, or its default */

/* Where a value comes from, for error texts: "FILE:LINE", "--set" or "default". Keys of kafka.* too, with the prefix. */
const char *settings_origin(const struct settings *settings, const char *key);

/* Why the file that a value of kafka.* (with the prefix) names could not be read, or NULL. Valid until settings_free. */
const char *settings_kafka_unread(const struct settings *settings, const char *key);

/* The file that they were read from, or "". Valid until settings_free. */
const char *settings_path(const struct settings *settings);

/* Where an AGE setting points, as Unix microseconds of a UTC day's begin, seen from now. "13 months": the first day of the month 13
 * before. */
int64_t settings_oldest_us(const struct settings *settings, const char *key, int64_t wall_us);

/* The kafka.* settings in the order given, NULL after the last. Valid until settings_free. */
const struct kafka_setting *settings_kafka(const struct settings *settings, size_t *count);

/* Writes the settings of one program as an INI file that can be read back, each with its help line, secrets masked. */
void settings_print(const struct settings *settings, unsigned programs, FILE *out);

#endif
