/* options_file.c - see options_file.h.
 *
 * Each line is tried alone where it stands, so that its error names file and line; tally_open then reads them all together, and
 * with them what the application set itself. What belongs to other programs is refused: a producer that passed over [postgres]
 * would pass over a misspelt [spool] too.
 */
#include "producer/library/options_file.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/settings_file.h"
#include "producer/library/event.h"
#include "producer/library/options.h"

enum { SETTINGS_MAX = 256 };

struct options_file {
    const char *path;
    size_t count;
    struct tally_setting settings[SETTINGS_MAX + 1]; /* the file's are owned, `more` behind them is borrowed */
    int lines[SETTINGS_MAX];
    size_t owned;
    char warning[512];
};

static bool is_among(const struct tally_setting *settings, const char *key)
{
    for (; settings != NULL && settings->key != NULL; settings++)
        if (strcmp(settings->key, key) == 0)
            return true;
    return false;
}

static bool add(struct options_file *file, const char *key, const char *written, int line, struct error *err)
{
    struct tally_error reason = TALLY_ERROR_INIT;
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->settings[i].key, key) == 0)
            return error_set(err, ERROR_USAGE, "set twice, here and at line %d", file->lines[i]);
    if (file->count == SETTINGS_MAX)
        return error_set(err, ERROR_USAGE, "more than %d settings", SETTINGS_MAX);
    const bool is_secret = strncmp(key, "kafka.", 6) == 0;
    char *value = settings_file_value(written, file->path, is_secret, err), *name = value == NULL ? NULL : strdup(key);
    if (name == NULL) {
        free(value);
        return value == NULL ? false : error_set(err, ERROR_RETRY, "out of memory");
    }
    file->lines[file->count] = line;
    file->settings[file->count] = (struct tally_setting){name, value};
    file->owned = ++file->count;
    return options_try(&file->settings[file->count - 1], &reason) || error_set(err, ERROR_USAGE, "%s", reason.text);
}

static bool on_setting(void *context, const char *key, const char *value, int line, struct error *err)
{
    struct options_file *file = context;
    return add(file, key, value, line, err) ||
           error_wrap(err, "%s:%d: %s", file->path, line,
                      settings_file_may_show_key(key) ? key : "what stands before the \"=\" is no key");
}

static void on_comment(void *context, const char *key, int line)
{
    struct options_file *file = context;
    if (file->warning[0] == '\0')
        snprintf(file->warning, sizeof file->warning,
                 "%s:%d: %s: what follows # or ; belongs to the value: comments stand on lines of their own", file->path, line,
                 key);
}

/* What the application set itself goes before the file's. */
static bool add_more(struct options_file *file, const struct tally_setting *more, struct tally_error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < file->owned; i++) {
        struct tally_setting one = file->settings[i];
        if (is_among(more, one.key)) {
            free((char *)(uintptr_t)one.key);
            free((char *)(uintptr_t)one.value);
        } else {
            file->settings[kept++] = one;
        }
    }
    file->count = file->owned = kept;
    for (; more != NULL && more->key != NULL; more++) {
        if (file->count == SETTINGS_MAX)
            return tally_error_set(err, TALLY_INVALID, "more than %d settings", SETTINGS_MAX) == TALLY_OK;
        file->settings[file->count++] = *more;
    }
    file->settings[file->count] = (struct tally_setting){NULL, NULL};
    return true;
}

struct options_file *options_file_read(const char *path, const struct tally_setting *more, struct tally_error *err)
{
    struct error reason;
    struct options_file *file = path == NULL ? NULL : calloc(1, sizeof *file);
    if (file == NULL) {
        tally_error_set(err, path == NULL ? TALLY_INVALID : TALLY_FAILED,
                        path == NULL ? "there is no path of a file" : "no memory");
        return NULL;
    }
    file->path = path;
    if (!settings_file_read(path, on_setting, on_comment, file, &reason))
        tally_error_set(err, reason.kind == ERROR_RETRY ? TALLY_FAILED : TALLY_INVALID, "%s", reason.text);
    else if (add_more(file, more, err))
        return file;
    options_file_free(file);
    return NULL;
}

void options_file_free(struct options_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->owned; i++) {
        free((char *)(uintptr_t)file->settings[i].key);
        free((char *)(uintptr_t)file->settings[i].value);
    }
    free(file);
}

const struct tally_setting *options_file_settings(const struct options_file *file)
{
    return file->settings;
}

const char *options_file_warning(const struct options_file *file)
{
    return file->warning[0] == '\0' ? NULL : file->warning;
}
