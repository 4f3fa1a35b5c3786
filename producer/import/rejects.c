/* rejects.c - see rejects.h. The file is NDJSON, so that it can be read line by line beside the input, and never holds a broken
 * line itself. */
#include "producer/import/rejects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base64.h"
#include "common/error.h"

enum { TOLD_MAX = 20 };

struct rejects {
    const char *program, *path;
    FILE *file;
    uint64_t count, told_max;
    bool is_failed;
};

/* A resumed run goes on where the last one was saved: what stands behind that is reported again. */
static FILE *open_file(const char *path, int64_t kept_bytes)
{
    FILE *file = fopen(path, kept_bytes > 0 ? "r+e" : "we");
    if (file == NULL || kept_bytes <= 0)
        return file;
    if (ftruncate(fileno(file), kept_bytes) == 0 && fseeko(file, 0, SEEK_END) == 0)
        return file;
    fclose(file);
    return NULL;
}

struct rejects *rejects_open(const char *program, const char *path, uint64_t earlier, int64_t kept_bytes, struct error *err)
{
    struct rejects *rejects = calloc(1, sizeof *rejects);
    if (rejects == NULL) {
        error_set(err, ERROR_RETRY, "no memory");
        return NULL;
    }
    rejects->program = program;
    rejects->path = path;
    rejects->count = earlier;
    if (path != NULL && (rejects->file = open_file(path, kept_bytes)) == NULL) {
        error_set(err, ERROR_USAGE, "cannot write --reject-file %s: %s", path, strerror(errno));
        free(rejects);
        return NULL;
    }
    rejects->told_max = earlier + TOLD_MAX;
    return rejects;
}

bool rejects_flush(struct rejects *rejects, int64_t *bytes, struct error *err)
{
    *bytes = 0;
    if (rejects->file == NULL)
        return true;
    if (rejects->is_failed || fflush(rejects->file) != 0 || fdatasync(fileno(rejects->file)) != 0)
        return error_set(err, ERROR_RETRY, "cannot write --reject-file %s: %s", rejects->path, strerror(errno));
    *bytes = ftello(rejects->file);
    return true;
}

static json_t *base64(const uint8_t *bytes, size_t length)
{
    char *text = malloc(BASE64_LENGTH(length) + 1);
    json_t *value = text == NULL ? NULL : json_stringn(text, base64_encode(text, bytes, length));
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
    if (rejects->count++ < rejects->told_max)
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
    if (rejects->count > rejects->told_max)
        fprintf(stderr, "%s: and %llu more lines%s\n", rejects->program, (unsigned long long)(rejects->count - rejects->told_max),
                rejects->file == NULL ? " (--reject-file keeps them all)" : "");
    bool ok = !rejects->is_failed;
    if (rejects->file != NULL && fclose(rejects->file) != 0)
        ok = false;
    const char *path = rejects->path;
    free(rejects);
    return ok || error_set(err, ERROR_RETRY, "the --reject-file %s is not complete: %s", path, strerror(errno));
}
