/* spool.c - the fuzzer of a spool's files. A small spool of three segments is damaged as the input says (bits, cuts, blocks copied
 * from elsewhere), then opened and read: every message that comes out is one that was put in, byte for byte and in order; those
 * that do not are counted; nothing stands still, and new messages go through.
 *
 * The input is a list of edits of five bytes: file, kind, position (two bytes), value. Raw files as input would never get past a
 * hash.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4, FILE_BYTES = 16384, EACH = 9, BATCH = 16, EDIT_BYTES = 5, EDITS_MAX = 64, NEW = 5 };

struct file {
    char path[96];
    uint8_t bytes[FILE_BYTES];
    size_t length;
};

static struct file files[FILES]; /* three segments and the state */
static char folder[64];
static uint64_t damaged;

static void on_lost(void *context, uint64_t count, bool is_dropped)
{
    (void)context;
    if (is_dropped)
        abort();
    damaged += count;
}

static struct spool *open_spool(uint64_t *recovered)
{
    struct spool_options options = {.directory = folder, .bytes = 1 << 20, .sync = SPOOL_SYNC_NEVER};
    struct tally_error err;
    struct spool *spool = spool_open(&options, on_lost, NULL, recovered, &err);
    if (spool == NULL) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return spool;
}

static size_t make_value(uint8_t value[256], unsigned n)
{
    size_t length = 40 + n * 13 % 150;
    for (size_t i = 0; i < length; i++)
        value[i] = (uint8_t)(n * 17 + i);
    memcpy(value, &n, sizeof n);
    return length;
}

static void append(struct spool *spool, unsigned first, unsigned count)
{
    for (unsigned n = first; n < first + count; n++) {
        uint8_t value[256];
        struct event_message message = {
            .key = "session", .key_length = n % 8, .value = value, .value_length = make_value(value, n)};
        if (spool_append(spool, &message, 1) != 1)
            abort();
    }
}

static unsigned read_all(struct spool *spool, unsigned first)
{
    struct event_message messages[BATCH];
    uint64_t sequences[BATCH];
    unsigned count = 0;
    for (size_t got; (got = spool_read(spool, messages, sequences, BATCH)) > 0;)
        for (size_t i = 0; i < got; i++, count++) {
            unsigned n;
            uint8_t value[256];
            memcpy(&n, messages[i].value, sizeof n);
            if (n < first || messages[i].value_length != make_value(value, n) ||
                memcmp(messages[i].value, value, messages[i].value_length) != 0 || messages[i].key_length != n % 8)
                abort();
            first = n + 1;
            if (!spool_done(spool, sequences[i]))
                abort();
        }
    return count;
}

static void slurp(struct file *file)
{
    int descriptor = open(file->path, O_RDONLY);
    ssize_t got = read(descriptor, file->bytes, FILE_BYTES);
    close(descriptor);
    if (got <= 0)
        abort();
    file->length = (size_t)got;
}

static void clear_folder(void)
{
    uint64_t *sequences;
    struct spool_place place = {.directory = open(folder, O_RDONLY | O_DIRECTORY)};
    size_t count = spool_place_list(&place, &sequences);
    for (size_t i = 0; i < count; i++)
        spool_place_remove_segment(&place, sequences[i]);
    free(sequences);
    close(place.directory);
}

static void remove_folder(void)
{
    char path[128];
    clear_folder();
    snprintf(path, sizeof path, "%s/lock", folder);
    unlink(path);
    unlink(files[FILES - 1].path);
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    strcpy(folder, "/dev/shm/tallymill-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    uint64_t recovered;
    for (unsigned i = 0; i < FILES - 1; i++) { /* each process begins a segment */
        struct spool *spool = open_spool(&recovered);
        append(spool, i * EACH, EACH);
        spool_close(spool);
        snprintf(files[i].path, sizeof files[i].path, "%s/%016x.segment", folder, 1 + i * EACH);
        slurp(&files[i]);
    }
    snprintf(files[FILES - 1].path, sizeof files[0].path, "%s/state", folder);
    slurp(&files[FILES - 1]);
    atexit(remove_folder);
    return 0;
}

static void edit(struct file copies[FILES], const uint8_t *bytes)
{
    struct file *file = &copies[bytes[0] % FILES];
    const struct file *other = &copies[bytes[0] / FILES % FILES];
    size_t position = (size_t)bytes[2] << 8 | bytes[3], length = 8 + bytes[4];
    if (file->length == 0)
        return;
    position %= file->length;
    switch (bytes[1] % 5) {
    case 0: file->bytes[position] ^= bytes[4]; break;
    case 1: file->length = position; break;
    case 2: /* a block of another file, or of this one, in the place of what was there */
        position &= ~(size_t)7;
        if (position + length <= file->length && position + length <= other->length)
            memmove(file->bytes + position, other->bytes + (position + bytes[4] * 8U) % (other->length - length + 1), length);
        break;
    case 3: /* zeros, as a hole in a file */
        memset(file->bytes + position, 0, position + length <= file->length ? length : file->length - position);
        break;
    default: /* something left out: the rest moves up */
        length = length < file->length - position ? length : file->length - position;
        memmove(file->bytes + position, file->bytes + position + length, file->length - position - length);
        file->length -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file copies[FILES];
    memcpy(copies, files, sizeof files);
    for (size_t i = 0; i + EDIT_BYTES <= size && i / EDIT_BYTES < EDITS_MAX; i += EDIT_BYTES)
        edit(copies, data + i);
    clear_folder();
    for (unsigned i = 0; i < FILES; i++) {
        int descriptor = open(copies[i].path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (descriptor < 0 || write(descriptor, copies[i].bytes, copies[i].length) != (ssize_t)copies[i].length)
            abort();
        close(descriptor);
    }
    uint64_t recovered;
    damaged = 0;
    struct spool *spool = open_spool(&recovered);
    unsigned count = read_all(spool, 0);
    if (count + damaged != recovered || spool->done_before != spool->end)
        abort();
    append(spool, 1000, NEW);
    if (read_all(spool, 1000) != NEW || count + damaged != recovered)
        abort();
    spool_close(spool);
    return 0;
}
