/* rejects.c - see rejects.h. The file is NDJSON, so that it can be read line by line beside the input, and never holds a broken
 * line itself. */
#include "rejects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "error.h"

enum { TOLD_MAX = 20 };

struct rejects {
    const char *program, *path;
    FILE *file;
    uint64_t count;
    bool is_failed;
};

struct rejects *rejects_open(const char *program, const char *path, struct error *err)
{
    struct rejects *rejects = calloc(1, sizeof *rejects);
    if (rejects == NULL) {
        error_set(err, ERROR_RETRY, "no memory");
        return NULL;
    }
    rejects->program = program;
    rejects->path = path;
    if (path != NULL && (rejects->file = fopen(path, "we")) == NULL) {
        error_set(err, ERROR_USAGE, "cannot write --reject-file %s: %s", path, strerror(errno));
        free(rejects);
        return NULL;
    }
    return rejects;
}

static json_t *base64(const uint8_t *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((length + 2) / 3 * 4 + 1), *to = text;
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    json_t *value = json_stringn(text, (size_t)(to - text));
    free(text);
    return value;
}

static bool write_line(struct rejects *rejects, const char *file, uint64_t line, const char *reason, const char *text,
                       size_t length)
{
    bool ok = false;
    json_t *object = json_pack("{s:s, s:I, s:s}", "file", file, "line", (json_int_t)line, "reason", reason);
    if (object == NULL)
        object = json_pack("{s:I, s:s}", "line", (json_int_t)line, "reason", reason); /* a file name that is not UTF-8 */
    if (object == NULL)
        return false;
    if (text != NULL) {
        json_t *kept = json_stringn(text, length);
        const char *key = kept != NULL ? "text" : "base64";
        if (kept == NULL)
            kept = base64((const uint8_t *)text, length);
        json_object_set_new(object, key, kept); /* without memory for it the line, number and reason are still told */
    }
    ok = json_dumpf(object, rejects->file, JSON_COMPACT) == 0 && fputc('\n', rejects->file) != EOF;
    json_decref(object);
    return ok;
}

void rejects_add(struct rejects *rejects, const char *file, uint64_t line, const char *reason, const char *text, size_t length)
{
    if (rejects->count++ < TOLD_MAX)
        fprintf(stderr, "%s: %s:%llu: %s\n", rejects->program, file, (unsigned long long)line, reason);
    if (rejects->file != NULL && !write_line(rejects, file, line, reason, text, length))
        rejects->is_failed = true;
}

uint64_t rejects_count(const struct rejects *rejects)
{
    return rejects->count;
}

bool rejects_close(struct rejects *rejects, struct error *err)
{
    if (rejects == NULL)
        return true;
    if (rejects->count > TOLD_MAX)
        fprintf(stderr, "%s: and %llu more lines%s\n", rejects->program, (unsigned long long)(rejects->count - TOLD_MAX),
                rejects->file == NULL ? " (--reject-file keeps them all)" : "");
    bool ok = !rejects->is_failed;
    if (rejects->file != NULL && fclose(rejects->file) != 0)
        ok = false;
    const char *path = rejects->path;
    free(rejects);
    return ok || error_set(err, ERROR_RETRY, "the --reject-file %s is not complete: %s", path, strerror(errno));
}
