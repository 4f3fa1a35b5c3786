/* decompress.c - see decompress.h.
 *
 * The libraries' streams by hand: gzopen() reads plain files too, but waits until its buffer is full, so that a line piped in
 * by hand or by tail -f would lie there unsent.
 *
 * Several members, frames or streams may follow each other, as `cat` and parallel packers make them; behind one there may be zeros,
 * to which tapes and some uploads pad.
 *
 * Memory: 44 KiB for gzip; for zstd and xz the window that the file was packed with (zstd: 2 MiB at the default level, 8 at -19,
 * 128 with --long; xz: 9 at -6, 65 at -9), and never more than 128 MiB; up to 4 MiB for bzip2.
 */
#include "producer/import/decompress.h"

#include <string.h>

#include <zstd_errors.h>

#include "common/error.h"

#define WINDOW_LOG 27 /* 128 MiB */

enum { XZ_MEMORY_BYTES = 160 * 1024 * 1024 }; /* its window, and what it needs beside */

static bool begins_with(const uint8_t *bytes, size_t length, const void *magic, size_t magic_length)
{
    return memcmp(bytes, magic, length < magic_length ? length : magic_length) == 0;
}

static bool is_bzip2(const uint8_t *bytes)
{
    return bytes[3] >= '1' && bytes[3] <= '9' && (bytes[4] == 0x31 || bytes[4] == 0x17);
}

enum decompress_kind decompress_look(const uint8_t *bytes, size_t length)
{
    static const struct {
        enum decompress_kind kind;
        size_t length;
        uint8_t magic[6];
    } kinds[] = {{DECOMPRESS_GZIP, 2, {0x1f, 0x8b}},
                 {DECOMPRESS_ZSTD, 4, {0x28, 0xb5, 0x2f, 0xfd}},
                 {DECOMPRESS_XZ, 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
                 {DECOMPRESS_BZIP2, 3, {'B', 'Z', 'h'}}}; /* and a digit, and a byte of pi or of its square root: no text */
    static const uint8_t skippable[] = {0x2a, 0x4d, 0x18};
    if (length == 0)
        return DECOMPRESS_UNKNOWN;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins_with(bytes, length, kinds[i].magic, kinds[i].length))
            return length < kinds[i].length + (kinds[i].kind == DECOMPRESS_BZIP2 ? 2 : 0) ? DECOMPRESS_UNKNOWN
                   : kinds[i].kind != DECOMPRESS_BZIP2 || is_bzip2(bytes)                 ? kinds[i].kind
                                                                                          : DECOMPRESS_PLAIN;
    /* pzstd begins with a frame to be skipped: 5x 2a 4d 18 */
    if (bytes[0] >> 4 == 5 && begins_with(bytes + 1, length - 1, skippable, sizeof skippable))
        return length < 4 ? DECOMPRESS_UNKNOWN : DECOMPRESS_ZSTD;
    return DECOMPRESS_PLAIN;
}

/* bzip2's and xz's streams are begun anew for each; gzip's and zstd's are kept. */
static bool begin_stream(struct decompress *decompress)
{
    if (decompress->kind == DECOMPRESS_XZ) {
        decompress->xz = (lzma_stream)LZMA_STREAM_INIT;
        return lzma_stream_decoder(&decompress->xz, XZ_MEMORY_BYTES, 0) == LZMA_OK;
    }
    decompress->bzip2 = (bz_stream){0};
    return BZ2_bzDecompressInit(&decompress->bzip2, 0, 0) == BZ_OK;
}

static void end_stream(struct decompress *decompress)
{
    if (decompress->kind == DECOMPRESS_XZ)
        lzma_end(&decompress->xz);
    else
        BZ2_bzDecompressEnd(&decompress->bzip2);
}

bool decompress_init(struct decompress *decompress, enum decompress_kind kind, struct error *err)
{
    *decompress = (struct decompress){.kind = kind};
    bool ok = true;
    if (kind == DECOMPRESS_GZIP)
        ok = inflateInit2(&decompress->gzip, 15 + 16) == Z_OK;
    else if (kind == DECOMPRESS_ZSTD)
        ok = (decompress->zstd = ZSTD_createDStream()) != NULL &&
             !ZSTD_isError(ZSTD_DCtx_setParameter(decompress->zstd, ZSTD_d_windowLogMax, WINDOW_LOG));
    if (ok)
        return true;
    ZSTD_freeDStream(decompress->zstd);
    *decompress = (struct decompress){.kind = DECOMPRESS_PLAIN}; /* nothing to free */
    return error_set(err, ERROR_RETRY, "no memory to decompress it");
}

void decompress_reset(struct decompress *decompress)
{
    if (decompress->kind == DECOMPRESS_GZIP)
        inflateEnd(&decompress->gzip);
    if (decompress->kind >= DECOMPRESS_XZ && decompress->is_inside)
        end_stream(decompress);
    ZSTD_freeDStream(decompress->zstd);
    *decompress = (struct decompress){0};
}

void decompress_feed(struct decompress *decompress, const uint8_t *bytes, size_t length)
{
    decompress->at = bytes;
    decompress->left = length;
}

bool decompress_is_dry(const struct decompress *decompress)
{
    return decompress->left == 0 && !(decompress->is_full && decompress->is_inside);
}

static bool run_plain(struct decompress *decompress, void *room, size_t length, size_t *got)
{
    *got = decompress->left < length ? decompress->left : length;
    memcpy(room, decompress->at, *got);
    decompress->at += *got;
    decompress->left -= *got;
    return true;
}

static bool run_gzip(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err)
{
    z_stream *stream = &decompress->gzip;
    stream->next_in = (uint8_t *)(uintptr_t)decompress->at;
    stream->avail_in = (unsigned)decompress->left;
    stream->next_out = room;
    stream->avail_out = (unsigned)length;
    if (!decompress->is_inside)
        inflateReset(stream);
    decompress->is_inside = true;
    int code = inflate(stream, Z_NO_FLUSH);
    *got = length - stream->avail_out;
    decompress->at = stream->next_in;
    decompress->left = stream->avail_in;
    if (code == Z_STREAM_END)
        decompress->is_inside = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return error_set(err, ERROR_REJECT, "the gzip data is damaged: %s", stream->msg != NULL ? stream->msg : "unknown");
    return true;
}

static bool run_zstd(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err)
{
    ZSTD_outBuffer out = {.dst = room, .size = length};
    ZSTD_inBuffer in = {.src = decompress->at, .size = decompress->left};
    size_t code = ZSTD_decompressStream(decompress->zstd, &out, &in);
    *got = out.pos;
    decompress->at += in.pos;
    decompress->left -= in.pos;
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return error_set(err, ERROR_REJECT,
                         "the zstd data was packed with a window of more than 128 MiB (--long): unpack it with "
                         "zstd -dc --long=31 FILE and pipe it in");
    if (ZSTD_isError(code))
        return error_set(err, ERROR_REJECT, "the zstd data is damaged: %s", ZSTD_getErrorName(code));
    decompress->is_inside = code != 0; /* 0: a frame is whole; the next byte, if there is one, begins another */
    return true;
}

static bool run_xz(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err)
{
    lzma_stream *stream = &decompress->xz;
    if (!decompress->is_inside && !begin_stream(decompress))
        return error_set(err, ERROR_RETRY, "no memory to decompress it");
    decompress->is_inside = true;
    stream->next_in = decompress->at;
    stream->avail_in = decompress->left;
    stream->next_out = room;
    stream->avail_out = length;
    lzma_ret code = lzma_code(stream, LZMA_RUN);
    *got = length - stream->avail_out;
    decompress->at = stream->next_in;
    decompress->left = stream->avail_in;
    if (code == LZMA_STREAM_END) {
        end_stream(decompress);
        decompress->is_inside = false;
    } else if (code == LZMA_MEMLIMIT_ERROR) {
        return error_set(err, ERROR_REJECT,
                         "the xz data was packed with a dictionary of more than 128 MiB: unpack it with xz -dc FILE "
                         "and pipe it in");
    } else if (code != LZMA_OK && code != LZMA_BUF_ERROR) {
        return error_set(err, ERROR_REJECT, "the xz data is damaged (liblzma's code %d)", (int)code);
    }
    return true;
}

static bool run_bzip2(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err)
{
    bz_stream *stream = &decompress->bzip2;
    if (!decompress->is_inside && !begin_stream(decompress))
        return error_set(err, ERROR_RETRY, "no memory to decompress it");
    decompress->is_inside = true;
    stream->next_in = (char *)(uintptr_t)decompress->at;
    stream->avail_in = (unsigned)decompress->left;
    stream->next_out = room;
    stream->avail_out = (unsigned)length;
    int code = BZ2_bzDecompress(stream);
    *got = length - stream->avail_out;
    decompress->at = (const uint8_t *)stream->next_in;
    decompress->left = stream->avail_in;
    if (code == BZ_STREAM_END) {
        end_stream(decompress);
        decompress->is_inside = false;
    } else if (code != BZ_OK) {
        return error_set(err, ERROR_REJECT, "the bzip2 data is damaged (libbz2's code %d)", code);
    }
    return true;
}

/* Zeros between or behind members. */
static void skip_padding(struct decompress *decompress)
{
    while (decompress->left > 0 && *decompress->at == 0) {
        decompress->at++;
        decompress->left--;
    }
}

bool decompress_run(struct decompress *decompress, void *room, size_t length, size_t *got, struct error *err)
{
    bool ok = true;
    *got = 0;
    if (decompress->kind > DECOMPRESS_PLAIN && !decompress->is_inside) {
        skip_padding(decompress);
        if (decompress->left == 0)
            return true;
    }
    switch (decompress->kind) {
    case DECOMPRESS_GZIP: ok = run_gzip(decompress, room, length, got, err); break;
    case DECOMPRESS_ZSTD: ok = run_zstd(decompress, room, length, got, err); break;
    case DECOMPRESS_XZ: ok = run_xz(decompress, room, length, got, err); break;
    case DECOMPRESS_BZIP2: ok = run_bzip2(decompress, room, length, got, err); break;
    default: ok = run_plain(decompress, room, length, got); break;
    }
    decompress->is_full = *got == length;
    return ok;
}
