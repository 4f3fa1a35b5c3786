/* export_file.c - see export_file.h.
 *
 * Invariant: under its own name a file is whole. Rejected: unlinking NAME.part on a signal; whoever is killed leaves it, and the
 * next export of that name writes over it.
 */
#include "operator/export_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE = 256 << 10, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8, ZSTD_LEVEL = 3 };

const char *const export_packing_names[] = {"none", "gzip", "zstd", NULL};
const char *const export_packing_endings[] = {"", ".gz", ".zst"};

struct export_file {
    FILE *out;
    char *path, *partial; /* NULL: stdout, or what is no regular file */
    enum export_packing packing;
    z_stream gzip;
    ZSTD_CCtx *zstd;
    XXH3_state_t *hash;
    int64_t bytes;
    size_t used;
    char piece[PIECE], packed[PIECE];
};

static bool failed(const struct export_file *file, const char *what, struct error *err)
{
    return error_set(err, ERROR_RETRY, "cannot %s %s: %s", what, file->path ? file->path : "the output", strerror(errno));
}

/* The bytes as they go to the disk. */
static bool put(struct export_file *file, const char *bytes, size_t length, struct error *err)
{
    XXH3_128bits_update(file->hash, bytes, length);
    file->bytes += (int64_t)length;
    return fwrite(bytes, 1, length, file->out) == length || failed(file, "write", err);
}

static bool pack_gzip(struct export_file *file, bool is_last, struct error *err)
{
    file->gzip.next_in = (unsigned char *)file->piece;
    file->gzip.avail_in = (unsigned)file->used;
    do { /* ends: the piece is finite */
        file->gzip.next_out = (unsigned char *)file->packed;
        file->gzip.avail_out = PIECE;
        deflate(&file->gzip, is_last ? Z_FINISH : Z_NO_FLUSH);
        if (!put(file, file->packed, PIECE - file->gzip.avail_out, err)) {
            return false;
        }
    } while (file->gzip.avail_out == 0);
    return true;
}

static bool pack_zstd(struct export_file *file, bool is_last, struct error *err)
{
    ZSTD_inBuffer in = {file->piece, file->used, 0};
    for (size_t left = 1; is_last ? left != 0 : in.pos < in.size;) { /* ends: the piece is finite */
        ZSTD_outBuffer out = {file->packed, PIECE, 0};
        left = ZSTD_compressStream2(file->zstd, &out, &in, is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) {
            return error_set(err, ERROR_RETRY, "zstd: %s", ZSTD_getErrorName(left));
        }
        if (!put(file, file->packed, out.pos, err)) {
            return false;
        }
    }
    return true;
}

static bool write_piece(struct export_file *file, bool is_last, struct error *err)
{
    const bool is_written = file->packing == EXPORT_GZIP   ? pack_gzip(file, is_last, err)
                            : file->packing == EXPORT_ZSTD ? pack_zstd(file, is_last, err)
                                                           : put(file, file->piece, file->used, err);
    file->used = 0;
    return is_written;
}

/* A name that is there already leads to what it names; one that is no regular file is written to as it stands. */
static bool choose_path(struct export_file *file, const char *path, struct error *err)
{
    struct stat found;
    const bool is_there = stat(path, &found) == 0;
    char *real = is_there ? realpath(path, NULL) : strdup(path);
    if (!real) {
        return failed(file, "find", err);
    }
    if (is_there && !S_ISREG(found.st_mode)) {
        file->out = fopen(real, "we");
        free(real);
        return file->out || error_set(err, ERROR_RETRY, "cannot open %s: %s", path, strerror(errno));
    }
    file->path = real;
    if (asprintf(&file->partial, "%s.part", real) < 0) {
        file->partial = NULL;
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    file->out = fopen(file->partial, "we");
    return file->out || error_set(err, ERROR_RETRY, "cannot open %s: %s", file->partial, strerror(errno));
}

static bool begin_packing(struct export_file *file, struct error *err)
{
    file->hash = XXH3_createState();
    file->zstd = file->packing == EXPORT_ZSTD ? ZSTD_createCCtx() : NULL;
    if (!file->hash || (file->packing == EXPORT_ZSTD && !file->zstd) ||
        (file->packing == EXPORT_GZIP &&
         deflateInit2(&file->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    XXH3_128bits_reset(file->hash);
    if (file->zstd) {
        ZSTD_CCtx_setParameter(file->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        ZSTD_CCtx_setParameter(file->zstd, ZSTD_c_checksumFlag, 1);
    }
    return true;
}

struct export_file *export_file_open(const char *path, enum export_packing packing, struct error *err)
{
    struct export_file *file = calloc(1, sizeof *file);
    if (!file) {
        error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    file->packing = packing;
    file->out = path ? NULL : stdout;
    if (!begin_packing(file, err) || (path && !choose_path(file, path, err))) {
        export_file_drop(file);
        return NULL;
    }
    return file;
}

bool export_file_write(struct export_file *file, const char *bytes, size_t length, struct error *err)
{
    while (length > 0) { /* ends: each turn takes some */
        const size_t room = PIECE - file->used, taken = length < room ? length : room;
        memcpy(file->piece + file->used, bytes, taken);
        file->used += taken;
        bytes += taken;
        length -= taken;
        if (file->used == PIECE && !write_piece(file, false, err)) {
            return false;
        }
    }
    return true;
}

/* The name is on the disk once its folder is. */
static bool sync_folder(const struct export_file *file, struct error *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file->path, '/');
    const int length = slash ? (int)(slash - file->path) : 0;
    if (snprintf(folder, sizeof folder, "%.*s", length, file->path) >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return failed(file, "sync the folder of", err);
    }
    const int descriptor = open(!slash ? "." : length == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return failed(file, "open the folder of", err);
    }
    const bool is_synced = fsync(descriptor) == 0 || errno == EINVAL || failed(file, "sync the folder of", err);
    close(descriptor);
    return is_synced;
}

/* Everything to the disk, then the name. */
static bool settle(struct export_file *file, struct error *err)
{
    if (fflush(file->out) != 0 || (file->path && fsync(fileno(file->out)) != 0)) {
        return failed(file, "write", err);
    }
    if (file->out == stdout) {
        return true;
    }
    FILE *out = file->out;
    file->out = NULL;
    if (fclose(out) != 0) {
        return failed(file, "write", err);
    }
    if (!file->path) {
        return true;
    }
    if (rename(file->partial, file->path) != 0) {
        return failed(file, "rename the file to", err);
    }
    free(file->partial);
    file->partial = NULL;
    return sync_folder(file, err);
}

static void put_hash(XXH128_hash_t hash, char text[EXPORT_HASH_BYTES])
{
    snprintf(text, EXPORT_HASH_BYTES, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

bool export_file_end(struct export_file *file, int64_t *bytes, char hash[EXPORT_HASH_BYTES], struct error *err)
{
    const bool is_whole = write_piece(file, true, err) && settle(file, err);
    if (bytes) {
        *bytes = file->bytes;
    }
    if (hash) {
        put_hash(XXH3_128bits_digest(file->hash), hash);
    }
    export_file_drop(file);
    return is_whole;
}

void export_file_drop(struct export_file *file)
{
    if (!file) {
        return;
    }
    if (file->out && file->out != stdout) {
        fclose(file->out);
    }
    if (file->partial) {
        unlink(file->partial);
    }
    if (file->packing == EXPORT_GZIP) {
        deflateEnd(&file->gzip);
    }
    ZSTD_freeCCtx(file->zstd);
    XXH3_freeState(file->hash);
    free(file->path);
    free(file->partial);
    free(file);
}

bool export_file_hash(const char *path, int64_t *bytes, char hash[EXPORT_HASH_BYTES])
{
    char piece[64 << 10];
    FILE *in = fopen(path, "re");
    XXH3_state_t *state = in ? XXH3_createState() : NULL;
    size_t length;
    *bytes = 0;
    if (state) {
        XXH3_128bits_reset(state);
    }
    while (state && (length = fread(piece, 1, sizeof piece, in)) > 0) { /* ends: with the file */
        XXH3_128bits_update(state, piece, length);
        *bytes += (int64_t)length;
    }
    const bool is_read = state && !ferror(in);
    if (is_read) {
        put_hash(XXH3_128bits_digest(state), hash);
    }
    XXH3_freeState(state);
    if (in) {
        fclose(in);
    }
    return is_read;
}

bool export_file_save(const char *path, const char *text, size_t length, struct error *err)
{
    struct export_file *file = export_file_open(path, EXPORT_PLAIN, err);
    if (!file) {
        return false;
    }
    if (!export_file_write(file, text, length, err)) {
        export_file_drop(file);
        return false;
    }
    return export_file_end(file, NULL, NULL, err);
}
