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

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

enum { FILE_BYTES = 1024 * 1024, KEY_BYTES = 256, SECRET_FILE_BYTES = 64 * 1024 };

struct reader {
    const char *path;
    int line;
    char section[KEY_BYTES];
    settings_file_each *each;
    settings_file_warn *warn;
    void *context;
};

int64_t settings_file_mark(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t mark = UINT64_C(14695981039346656037); /* FNV-1a */
    int byte;
    if (file == NULL)
        return 0;
    for (long count = 0; count < FILE_BYTES && (byte = getc(file)) != EOF; count++)
        mark = (mark ^ (unsigned)byte) * UINT64_C(1099511628211);
    const bool is_read = ferror(file) == 0;
    fclose(file);
    return is_read ? (int64_t)mark : 0;
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

char *settings_file_value(const char *written, const char *settings_path, struct error *err)
{
    if (written[0] != '@' || written[1] == '@')
        return copy(written[0] == '@' ? written + 1 : written, err);
    char path[4096];
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    int length;
    if (written[1] == '/') {
        length = snprintf(path, sizeof path, "%s", written + 1);
    } else if (directory != NULL) {
        length = snprintf(path, sizeof path, "%s/%s", directory, written + 1);
    } else if (settings_path != NULL) {
        const char *slash = strrchr(settings_path, '/');
        length =
            snprintf(path, sizeof path, "%.*s%s", slash != NULL ? (int)(slash + 1 - settings_path) : 0, settings_path, written + 1);
    } else {
        error_set(err, ERROR_USAGE,
                  "@%s names a systemd credential, but CREDENTIALS_DIRECTORY is not set; give the absolute path of a file",
                  written + 1);
        return NULL;
    }
    if (length < 0 || (size_t)length >= sizeof path) {
        error_set(err, ERROR_USAGE, "the name of the file behind @ is too long");
        return NULL;
    }
    char *text = settings_file_text(path, SECRET_FILE_BYTES, err);
    if (text == NULL && written[1] != '/' && directory == NULL)
        error_wrap(err, "@%s, beside the settings file because CREDENTIALS_DIRECTORY is not set", written + 1);
    if (text != NULL) {
        size_t end = strlen(text);
        while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
            end--;
        text[end] = '\0';
        if (end == 0) { /* as whoever writes it anew in place leaves it for a moment */
            free(text);
            error_set(err, ERROR_USAGE, "%s is empty: it must hold the value", path);
            return NULL;
        }
    }
    return text;
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
