/* unpack.c - see unpack.h.
 *
 * zlib's and libzstd's streams by hand: gzopen() reads plain files too, but waits until its buffer is full, so that a line piped in
 * by hand or by tail -f would lie there unsent.
 *
 * Memory: 44 KiB for gzip; for zstd the window that the file was packed with (2 MiB at the default level, 8 at -19), and never
 * more than 128 MiB, the limit that the zstd program has too.
 */
#include "unpack.h"

#include <string.h>

#include "error.h"

static bool begins_with(const uint8_t *bytes, size_t length, const void *magic, size_t magic_length)
{
    return memcmp(bytes, magic, length < magic_length ? length : magic_length) == 0;
}

enum unpack_kind unpack_look(const uint8_t *bytes, size_t length)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, skippable[] = {0x2a, 0x4d, 0x18};
    if (length == 0)
        return UNPACK_UNKNOWN;
    if (begins_with(bytes, length, gzip, sizeof gzip))
        return length < sizeof gzip ? UNPACK_UNKNOWN : UNPACK_GZIP;
    /* pzstd begins with a frame to be skipped: 5x 2a 4d 18 */
    if (begins_with(bytes, length, zstd, sizeof zstd) ||
        (bytes[0] >> 4 == 5 && begins_with(bytes + 1, length - 1, skippable, sizeof skippable)))
        return length < sizeof zstd ? UNPACK_UNKNOWN : UNPACK_ZSTD;
    return UNPACK_PLAIN;
}

bool unpack_init(struct unpack *unpack, enum unpack_kind kind, struct error *err)
{
    *unpack = (struct unpack){.kind = kind};
    bool ok = true;
    if (kind == UNPACK_GZIP)
        ok = inflateInit2(&unpack->gzip, 15 + 16) == Z_OK;
    else if (kind == UNPACK_ZSTD)
        ok = (unpack->zstd = ZSTD_createDStream()) != NULL;
    if (ok)
        return true;
    unpack->kind = UNPACK_PLAIN; /* nothing to free */
    return error_set(err, ERROR_RETRY, "no memory to unpack it");
}

void unpack_reset(struct unpack *unpack)
{
    if (unpack->kind == UNPACK_GZIP)
        inflateEnd(&unpack->gzip);
    ZSTD_freeDStream(unpack->zstd);
    *unpack = (struct unpack){0};
}

void unpack_feed(struct unpack *unpack, const uint8_t *bytes, size_t length)
{
    unpack->gzip.next_in = (uint8_t *)(uintptr_t)bytes;
    unpack->gzip.avail_in = (unsigned)length;
    unpack->zstd_in = (ZSTD_inBuffer){.src = bytes, .size = length};
}

bool unpack_is_dry(const struct unpack *unpack)
{
    if (unpack->is_full && unpack->is_inside)
        return false;
    return unpack->kind == UNPACK_GZIP ? unpack->gzip.avail_in == 0 : unpack->zstd_in.pos == unpack->zstd_in.size;
}

static bool run_gzip(struct unpack *unpack, void *room, size_t length, size_t *got, struct error *err)
{
    z_stream *stream = &unpack->gzip;
    stream->next_out = room;
    stream->avail_out = (unsigned)length;
    if (!unpack->is_inside)
        inflateReset(stream);
    unpack->is_inside = true;
    int code = inflate(stream, Z_NO_FLUSH);
    *got = length - stream->avail_out;
    unpack->is_full = stream->avail_out == 0;
    if (code == Z_STREAM_END)
        unpack->is_inside = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return error_set(err, ERROR_REJECT, "the gzip data is damaged: %s", stream->msg != NULL ? stream->msg : "unknown");
    return true;
}

static bool run_zstd(struct unpack *unpack, void *room, size_t length, size_t *got, struct error *err)
{
    ZSTD_outBuffer out = {.dst = room, .size = length};
    size_t code = ZSTD_decompressStream(unpack->zstd, &out, &unpack->zstd_in);
    *got = out.pos;
    unpack->is_full = out.pos == out.size;
    if (ZSTD_isError(code))
        return error_set(err, ERROR_REJECT, "the zstd data is damaged: %s", ZSTD_getErrorName(code));
    unpack->is_inside = code != 0; /* 0: a frame is whole; the next byte, if there is one, begins another */
    return true;
}

bool unpack_run(struct unpack *unpack, void *room, size_t length, size_t *got, struct error *err)
{
    return unpack->kind == UNPACK_GZIP ? run_gzip(unpack, room, length, got, err) : run_zstd(unpack, room, length, got, err);
}
