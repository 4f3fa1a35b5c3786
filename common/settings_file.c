/* settings_file.c - see settings_file.h. The format:
 *
 *   # a comment line, or one that begins with ;
 *   [section]
 *   key = everything up to the end of the line, without the spaces around it
 *
 * A value is taken as it stands: no comment behind it, no quotes, no continuation line. So a password may hold # and ;, and a line
 * may be as long as it likes. A file that has no [section] above a key gives the whole key ("topics.events = x").
 *
 * inih was rejected after measuring it as Debian 12 builds it (55-1): a line is cut at 199 bytes (a DSN of 2,000 bytes loses its
 * end and the rest is read as another line), " ;" ends a value without a word, an indented line continues the one above, and
 * handlers are not told the line. Its limits are build options, so that no other distribution need be the same.
 */
#include "common/settings_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/error.h"

enum { FILE_BYTES = 1024 * 1024, KEY_BYTES = 256, SECRET_FILE_BYTES = 64 * 1024, PATH_BYTES = 4096 };

struct reader {
    const char *path;
    int line;
    char section[KEY_BYTES];
    settings_file_each *each;
    settings_file_warn *warn;
    void *context;
};

/* Of what is in it, in whatever order it is listed: names, sizes and times, of what a link leads to. */
static int64_t mark_folder(DIR *folder)
{
    uint64_t mark = 1;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) { /* ends: with the folder */
        struct stat is = {0};
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(folder), entry->d_name, &is, 0) != 0)
            continue;
        const int64_t facts[] = {is.st_size, is.st_mtim.tv_sec, is.st_mtim.tv_nsec};
        mark += XXH3_64bits_withSeed(facts, sizeof facts, XXH3_64bits(entry->d_name, strlen(entry->d_name)));
    }
    closedir(folder);
    return (int64_t)mark;
}

static int64_t mark_file(FILE *file)
{
    uint64_t mark = 1;
    char bytes[4096];
    size_t length;
    for (size_t count = 0; count < FILE_BYTES && (length = fread(bytes, 1, sizeof bytes, file)) > 0; count += length)
        mark = XXH3_64bits_withSeed(bytes, length, mark);
    const bool is_read = ferror(file) == 0;
    fclose(file);
    return is_read ? (int64_t)mark : 0;
}

int64_t settings_file_mark(const char *path)
{
    DIR *folder = opendir(path);
    if (folder != NULL)
        return mark_folder(folder);
    FILE *file = fopen(path, "re");
    return file != NULL ? mark_file(file) : 0;
}

char *settings_file_text(const char *path, long max_bytes, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_set(err, ERROR_USAGE, "%s: cannot open: %s", path, strerror(errno));
        return NULL;
    }
    size_t length = 0;
    char *text = malloc((size_t)max_bytes + 2);
    if (text == NULL) {
        error_set(err, ERROR_RETRY, "%s: out of memory", path);
        goto out;
    }
    length = fread(text, 1, (size_t)max_bytes + 1, file);
    text[length] = '\0';
    if (ferror(file))
        error_set(err, ERROR_USAGE, "%s: cannot read: %s", path, strerror(errno));
    else if (length > (size_t)max_bytes)
        error_set(err, ERROR_USAGE, "%s: larger than %ld bytes", path, max_bytes);
    else if (memchr(text, '\0', length) != NULL)
        error_set(err, ERROR_USAGE, "%s: holds a NUL byte; it must be text", path);
    else
        goto out;
    free(text);
    text = NULL;
out:
    fclose(file);
    return text;
}

static char *copy(const char *text, struct error *err)
{
    char *copied = strdup(text);
    if (copied == NULL)
        error_set(err, ERROR_RETRY, "out of memory");
    return copied;
}

/* The folder in which the file behind an @ is looked for, with its slash; false: there is none. */
static bool folder_of(const char *name, const char *settings_path, char *folder, size_t size, bool *fits)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY"), *slash = settings_path != NULL ? strrchr(settings_path, '/') : NULL;
    int length = 0;
    if (name[0] == '/' || (credentials == NULL && settings_path != NULL && slash == NULL))
        folder[0] = '\0';
    else if (credentials != NULL)
        length = snprintf(folder, size, "%s/", credentials);
    else if (slash != NULL)
        length = snprintf(folder, size, "%.*s", (int)(slash + 1 - settings_path), settings_path);
    else
        return false;
    *fits = length >= 0 && (size_t)length < size;
    return true;
}

/* Whether what stands behind an @ may be shown: not where it may be a secret itself, of somebody who did not know that one which
 * begins with @ is written @@. An absolute path is a path. */
static bool may_show_name(const char *name, bool is_secret)
{
    return name[0] == '/' || (!is_secret && settings_file_may_show_key(name));
}

static char *read_named(const char *name, const char *folder, bool is_secret, bool is_beside, struct error *err)
{
    char path[PATH_BYTES];
    const char *why_there = is_beside        ? ", beside the settings file because CREDENTIALS_DIRECTORY is not set"
                            : name[0] != '/' ? ", where LoadCredential= in the unit puts it"
                                             : "";
    int length = snprintf(path, sizeof path, "%s%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        error_set(err, ERROR_USAGE, "the name of the file behind @ is too long");
        return NULL;
    }
    if (!may_show_name(name, is_secret) && access(path, R_OK) != 0) {
        error_set(
            err, ERROR_USAGE,
            "the file that is named behind @ cannot be opened in %s%s: %s (a value that begins with @ itself is written with @@)",
            folder[0] != '\0' ? folder : "the folder at hand", why_there, strerror(errno));
        return NULL;
    }
    char *text = settings_file_text(path, SECRET_FILE_BYTES, err);
    if (text == NULL) {
        if (why_there[0] != '\0')
            error_wrap(err, "@%s%s", name, why_there);
        return NULL;
    }
    size_t end = strlen(text);
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
        end--;
    text[end] = '\0';
    if (end == 0) { /* as whoever writes it anew in place leaves it for a moment */
        free(text);
        error_set(err, ERROR_USAGE, "%s is empty: it must hold the value", path);
        return NULL;
    }
    return text;
}

char *settings_file_value(const char *written, const char *settings_path, bool is_secret, struct error *err)
{
    if (written[0] != '@' || written[1] == '@')
        return copy(written[0] == '@' ? written + 1 : written, err);
    char folder[PATH_BYTES];
    bool fits;
    const char *name = written + 1;
    const bool is_shown = may_show_name(name, is_secret);
    if (!folder_of(name, settings_path, folder, sizeof folder, &fits)) {
        error_set(err, ERROR_USAGE,
                  "%s%s names a systemd credential, but CREDENTIALS_DIRECTORY is not set; give the absolute path of a file%s",
                  is_shown ? "@" : "what begins with an @", is_shown ? name : "",
                  is_shown ? "" : " (a value that begins with @ itself is written with @@)");
        return NULL;
    }
    if (!fits) {
        error_set(err, ERROR_USAGE, "the name of the folder of the file behind @ is too long");
        return NULL;
    }
    return read_named(name, folder, is_secret, name[0] != '/' && getenv("CREDENTIALS_DIRECTORY") == NULL, err);
}

bool settings_file_may_show_key(const char *key)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return strlen(key) <= 100 && key[strspn(key, alphabet)] == '\0';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Cuts the spaces at both ends, in place. */
static char *trim(char *text)
{
    while (is_space(*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && is_space(end[-1]))
        end--;
    *end = '\0';
    return text;
}

static bool read_section(struct reader *reader, char *text, struct error *err)
{
    char *close = strchr(text, ']');
    const char *rest = close == NULL ? NULL : trim(close + 1);
    if (close == NULL || (*rest != '\0' && *rest != '#' && *rest != ';'))
        return error_set(err, ERROR_USAGE, "%s:%d: a section is written [NAME]", reader->path, reader->line);
    *close = '\0';
    const char *name = trim(text + 1);
    if (strlen(name) >= sizeof reader->section)
        return error_set(err, ERROR_USAGE, "%s:%d: the section's name is too long", reader->path, reader->line);
    memcpy(reader->section, name, strlen(name) + 1);
    return true;
}

static void warn_about_comment(const struct reader *reader, const char *key, const char *value)
{
    for (const char *at = strpbrk(value, "#;"); at != NULL; at = strpbrk(at + 1, "#;")) {
        if (at > value && is_space(at[-1]) && is_space(at[1])) {
            reader->warn(reader->context, key, reader->line);
            return;
        }
    }
}

static bool read_pair(struct reader *reader, char *text, struct error *err)
{
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return error_set(err, ERROR_USAGE,
                         "%s:%d: no \"=\" here; a line is KEY = VALUE, [SECTION] or # COMMENT, and a value is one line",
                         reader->path, reader->line);
    *equals = '\0';
    const char *name = trim(text), *value = trim(equals + 1);
    if (*name == '\0')
        return error_set(err, ERROR_USAGE, "%s:%d: no key before the \"=\"", reader->path, reader->line);
    char key[2 * KEY_BYTES];
    int length = snprintf(key, sizeof key, "%s%s%s", reader->section, reader->section[0] != '\0' ? "." : "", name);
    if (length < 0 || (size_t)length >= sizeof key)
        return error_set(err, ERROR_USAGE, "%s:%d: the key is too long", reader->path, reader->line);
    warn_about_comment(reader, key, value);
    return reader->each(reader->context, key, value, reader->line, err);
}

bool settings_file_read(const char *path, settings_file_each *each, settings_file_warn *warn, void *context, struct error *err)
{
    char *text = settings_file_text(path, FILE_BYTES, err);
    if (text == NULL)
        return false;
    struct reader reader = {.path = path, .each = each, .warn = warn, .context = context};
    bool ok = true;
    char *rest = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? text + 3 : text;
    for (char *line; ok && (line = strsep(&rest, "\n")) != NULL;) {
        reader.line++;
        line = trim(line);
        if (*line == '\0' || *line == '#' || *line == ';')
            continue;
        ok = *line == '[' ? read_section(&reader, line, err) : read_pair(&reader, line, err);
    }
    free(text);
    return ok;
}
