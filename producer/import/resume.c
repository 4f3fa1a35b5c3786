/* resume.c - see resume.h.
 *
 * An input's identity is made of a random number of the import, not of what the file holds: two files of the same lines are two
 * times the events, and an import that is wanted twice must not vanish into the first. That a resumed file is still the same is
 * told by the hash of its first bytes and by not being shorter.
 *
 * Line numbers instead of byte offsets: a packed file has no offset to go to, and passing over lines costs a second a gigabyte.
 */
#include "producer/import/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/uuid.h"
#include "producer/import/line_id.h"

enum { VERSION = 1, HEAD_BYTES = 4096, HASH_TEXT_BYTES = 33, FORM_BYTES = 32 };

struct file {
    char *path; /* owned */
    uint8_t id[UUID_BYTES];
    int64_t size, head_bytes;
    char head[HASH_TEXT_BYTES];
    uint64_t line;
    char form[FORM_BYTES]; /* "": not known yet, or written before there were any */
};

struct resume {
    char *path;
    uint8_t import[UUID_BYTES];
    int64_t begun_us;
    char options[20];
    struct file *files;
    int count;
    struct resume_totals totals;
};

/* The hash of up to head_bytes; head_bytes becomes how many there were. */
static bool look_at(const char *path, int64_t *head_bytes, int64_t *size, char head[HASH_TEXT_BYTES], struct error *err)
{
    uint8_t bytes[HEAD_BYTES];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, bytes, (size_t)*head_bytes, 0);
    bool ok = got >= 0 && fstat(fd, &status) == 0;
    if (ok && !S_ISREG(status.st_mode)) {
        error_set(err, ERROR_USAGE, "--resume reads files, and %s is none: it could not be read a second time", path);
        close(fd);
        return false;
    }
    if (!ok)
        error_set(err, ERROR_USAGE, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!ok)
        return false;
    *head_bytes = got;
    *size = status.st_size;
    XXH128_hash_t hash = XXH3_128bits(bytes, (size_t)got);
    snprintf(head, HASH_TEXT_BYTES, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return true;
}

static bool begin(struct resume *resume, char **inputs, struct error *err)
{
    if (getrandom(resume->import, sizeof resume->import, 0) != sizeof resume->import)
        return error_set(err, ERROR_RETRY, "no random numbers: %s", strerror(errno));
    resume->import[6] = (uint8_t)(0x40 | (resume->import[6] & 0x0f)); /* a version 4 UUID */
    resume->import[8] = (uint8_t)(0x80 | (resume->import[8] & 0x3f));
    resume->begun_us = clock_wall_us();
    for (int i = 0; i < resume->count; i++) {
        struct file *file = &resume->files[i];
        file->path = strdup(inputs[i]);
        file->head_bytes = HEAD_BYTES;
        if (file->path == NULL)
            return error_set(err, ERROR_RETRY, "no memory");
        if (!look_at(file->path, &file->head_bytes, &file->size, file->head, err))
            return false;
        char name[64];
        int length = snprintf(name, sizeof name, "%d %s", i, file->head);
        line_id_of_name(file->id, resume->import, name, (size_t)length);
    }
    return true;
}

static bool read_id(const char *text, uint8_t id[UUID_BYTES])
{
    return text != NULL && uuid_parse(text, strlen(text), id);
}

static bool read_file(struct file *file, const json_t *object)
{
    const char *path, *id, *head, *form = "";
    json_int_t size, head_bytes, line;
    if (json_unpack((json_t *)(uintptr_t)object, "{s:s, s:s, s:I, s:I, s:s, s:I, s?s}", "path", &path, "id", &id, "size", &size,
                    "head_bytes", &head_bytes, "head", &head, "line", &line, "form", &form) != 0 ||
        strlen(form) >= FORM_BYTES || !read_id(id, file->id) || strlen(head) != HASH_TEXT_BYTES - 1 || head_bytes < 0 ||
        head_bytes > HEAD_BYTES || line < 0)
        return false;
    file->size = size;
    file->head_bytes = head_bytes;
    file->line = (uint64_t)line;
    memcpy(file->head, head, HASH_TEXT_BYTES);
    strcpy(file->form, form);
    file->path = strdup(path);
    return file->path != NULL;
}

/* False: not written by us, or damaged. */
static bool read_object(struct resume *resume, const json_t *object, char options[20], int *count)
{
    const char *import, *begun, *mapping;
    json_int_t version, sent, rejected, reject_bytes;
    json_t *files;
    if (json_unpack((json_t *)(uintptr_t)object, "{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "tallymill_resume", &version, "import",
                    &import, "begun", &begun, "options", &mapping, "sent", &sent, "rejected", &rejected, "reject_bytes",
                    &reject_bytes, "files", &files) != 0 ||
        version != VERSION || !read_id(import, resume->import) || !clock_parse_time(begun, strlen(begun), &resume->begun_us) ||
        strlen(mapping) >= 20 || sent < 0 || rejected < 0 || !json_is_array(files))
        return false;
    strcpy(options, mapping);
    resume->totals = (struct resume_totals){(uint64_t)sent, (uint64_t)rejected, reject_bytes};
    *count = (int)json_array_size(files);
    for (int i = 0; i < *count && i < resume->count; i++)
        if (!read_file(&resume->files[i], json_array_get(files, (size_t)i)))
            return false;
    return true;
}

/* Is what the file says about what is to be imported now? */
static bool compare(const struct resume *resume, char **inputs, int count, const char *options, struct error *err)
{
    bool is_same = count == resume->count;
    for (int i = 0; is_same && i < count; i++)
        is_same = strcmp(resume->files[i].path, inputs[i]) == 0;
    if (!is_same)
        return error_set(err, ERROR_USAGE, "--resume %s belongs to the import of other files: name the same ones in the same order",
                         resume->path);
    if (strcmp(options, resume->options) != 0)
        return error_set(err, ERROR_USAGE,
                         "--resume %s belongs to an import with another --format or mapping: its lines would become other events",
                         resume->path);
    for (int i = 0; i < count; i++) {
        const struct file *file = &resume->files[i];
        int64_t head_bytes = file->head_bytes, size;
        char head[HASH_TEXT_BYTES];
        if (!look_at(file->path, &head_bytes, &size, head, err))
            return false;
        if (size < file->size || head_bytes != file->head_bytes || strcmp(head, file->head) != 0)
            return error_set(err, ERROR_USAGE, "%s is not the file that --resume %s began with", file->path, resume->path);
    }
    return true;
}

static bool read_all(struct resume *resume, char **inputs, struct error *err)
{
    char options[20];
    int count = 0;
    json_t *object = json_load_file(resume->path, JSON_REJECT_DUPLICATES, NULL);
    bool ok = object != NULL && read_object(resume, object, options, &count);
    json_decref(object);
    return ok ? compare(resume, inputs, count, options, err)
              : error_set(err, ERROR_USAGE, "--resume %s is no resume file, or damaged: remove it to begin anew (with new ids)",
                          resume->path);
}

struct resume *resume_open(const char *path, char **inputs, int count, uint64_t options, struct error *err)
{
    struct resume *resume = calloc(1, sizeof *resume);
    if (resume != NULL) {
        resume->path = strdup(path);
        resume->files = calloc((size_t)count, sizeof *resume->files);
    }
    if (resume == NULL || resume->path == NULL || resume->files == NULL) {
        error_set(err, ERROR_RETRY, "no memory");
        resume_free(resume);
        return NULL;
    }
    resume->count = count;
    snprintf(resume->options, sizeof resume->options, "%016llx", (unsigned long long)options);
    bool is_new = access(path, F_OK) != 0 && errno == ENOENT;
    /* On the disk before the first event is sent: killed in between, the ids would be lost. */
    if (is_new ? begin(resume, inputs, err) && resume_save(resume, 0, 0, &resume->totals, err) : read_all(resume, inputs, err))
        return resume;
    resume_free(resume);
    return NULL;
}

void resume_free(struct resume *resume)
{
    if (resume == NULL)
        return;
    for (int i = 0; i < resume->count; i++)
        free(resume->files[i].path);
    free(resume->files);
    free(resume->path);
    free(resume);
}

int64_t resume_begun_us(const struct resume *resume)
{
    return resume->begun_us;
}

const uint8_t *resume_file_id(const struct resume *resume, int input)
{
    return resume->files[input].id;
}

uint64_t resume_line(const struct resume *resume, int input)
{
    return resume->files[input].line;
}

bool resume_check_form(struct resume *resume, int input, const char *form, struct error *err)
{
    struct file *file = &resume->files[input];
    const char *before = file->form[0] != '\0' ? file->form : "lines";
    if (file->line > 0 && strcmp(before, form) != 0 && strcmp(form, "objects") != 0)
        return error_set(err, ERROR_USAGE, "%s was read as %s until line %llu, and is %s now: --resume %s cannot go on", file->path,
                         before, (unsigned long long)file->line, form, resume->path);
    snprintf(file->form, sizeof file->form, "%s", form);
    return true;
}

const struct resume_totals *resume_totals(const struct resume *resume)
{
    return &resume->totals;
}

static json_t *as_object(const struct resume *resume)
{
    char id[UUID_TEXT_BYTES], begun[CLOCK_TIME_BYTES];
    clock_format_time(begun, resume->begun_us);
    json_t *files = json_array();
    for (int i = 0; files != NULL && i < resume->count; i++) {
        const struct file *file = &resume->files[i];
        json_array_append_new(files,
                              json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:s}", "path", file->path, "id", uuid_format(id, file->id),
                                        "size", (json_int_t)file->size, "head_bytes", (json_int_t)file->head_bytes, "head",
                                        file->head, "line", (json_int_t)file->line, "form", file->form));
    }
    return json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "tallymill_resume", VERSION, "import",
                     uuid_format(id, resume->import), "begun", begun, "options", resume->options, "sent",
                     (json_int_t)resume->totals.sent, "rejected", (json_int_t)resume->totals.rejected, "reject_bytes",
                     (json_int_t)resume->totals.reject_bytes, "files", files);
}

/* A name is on the disk when its folder is. Cuts the path. */
static bool sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[slash == path] = '\0';
    int fd = open(slash == NULL ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Written beside it, brought to the disk, and renamed over it. */
static bool write_file(const char *path, const char *text)
{
    char *beside = malloc(strlen(path) + 5);
    if (beside == NULL)
        return false;
    sprintf(beside, "%s.new", path);
    FILE *file = fopen(beside, "we");
    bool ok = file != NULL && fprintf(file, "%s\n", text) > 0 && fflush(file) == 0 && fdatasync(fileno(file)) == 0;
    int failure = errno;
    if (file != NULL && fclose(file) != 0)
        ok = false;
    if (ok && (rename(beside, path) != 0 || !sync_folder(beside))) {
        failure = errno;
        ok = false;
    }
    free(beside);
    errno = failure;
    return ok;
}

bool resume_save(struct resume *resume, int input, uint64_t line, const struct resume_totals *totals, struct error *err)
{
    resume->files[input].line = line;
    resume->totals = *totals;
    json_t *object = as_object(resume);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    errno = ENOMEM;
    bool ok = text != NULL && write_file(resume->path, text);
    free(text);
    return ok || error_set(err, ERROR_RETRY, "cannot write --resume %s: %s", resume->path, strerror(errno));
}
