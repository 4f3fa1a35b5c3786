/* archive_parts.c - see archive_parts.h.
 *
 * A part is CSV with a header, compressed as one whole frame, so that each can be read for itself by whatever reads CSV. Its rows
 * are what COPY sends as a message each: 2.4 s of a server process for 1.2 million events, half of what JSON lines cost, and
 * Postgres reads every value back exactly as it was (it tells NULL from an empty text).
 */
#include "operator/archive_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/copy_out.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/progress.h"
#include "common/statement.h"
#include "operator/archive_store.h"
#include "operator/csv_rows.h"

enum { PART_ROWS = 1000000, SHOWN_EVERY = 4096 };

/* Without a row from the server. */
static const int64_t STALLED_US = 600 * CLOCK_SECOND_US;

static void show(struct progress *progress, int64_t rows)
{
    if (progress && rows % SHOWN_EVERY == 0)
        progress_draw(progress, rows, (uint64_t)rows, clock_now_us());
}

struct writing {
    struct archive_store *store;
    struct archive_manifest *manifest;
    struct packing *packing;
    struct progress *progress;
    struct row_hash hash;
    int64_t part_bytes, part_rows; /* the most of a part; of the part at hand */
    char *header;                  /* the first message of the COPY */
    size_t header_length;
};

static bool close_part(struct writing *writing, struct error *err)
{
    struct archive_manifest *manifest = writing->manifest;
    const char *bytes;
    size_t length;
    char key[ARCHIVE_KEY_BYTES];
    struct archive_part *wider = realloc(manifest->parts, ((size_t)manifest->part_count + 1) * sizeof *wider);
    if (!wider)
        return error_set(err, ERROR_RETRY, "no memory for %d parts", manifest->part_count + 1);
    manifest->parts = wider;
    if (!packing_end(writing->packing, &bytes, &length, err))
        return false;
    struct archive_part *part = &wider[manifest->part_count];
    *part = (struct archive_part){.rows = writing->part_rows, .bytes = (int64_t)length};
    snprintf(part->name, sizeof part->name, "part-%05d.csv.%s", manifest->part_count + 1, packing_suffix(manifest->packing));
    archive_sha256(part->sha256, bytes, length);
    archive_key(key, manifest->month, manifest->generation, part->name);
    if (!archive_store_put(writing->store, key, bytes, length, err))
        return false;
    FAILPOINT("archive_part");
    manifest->part_count++;
    manifest->bytes += part->bytes;
    writing->part_rows = 0;
    return true;
}

static bool write_row(void *context, char *row, size_t length, struct error *err)
{
    struct writing *writing = context;
    if (!writing->header) {
        if (!(writing->header = malloc(length)))
            return error_set(err, ERROR_RETRY, "out of memory");
        memcpy(writing->header, row, length);
        writing->header_length = length;
        return true;
    }
    if (writing->part_rows == 0 && !packing_add(writing->packing, writing->header, writing->header_length, err))
        return false;
    if (!packing_add(writing->packing, row, length, err))
        return false;
    row_hash_add(&writing->hash, row, length);
    writing->part_rows++;
    show(writing->progress, ++writing->manifest->rows);
    return (writing->part_rows < PART_ROWS && (int64_t)packing_size(writing->packing) < writing->part_bytes) ||
           close_part(writing, err);
}

bool archive_parts_write(PGconn *conn, struct archive_store *store, const char *table, const char *columns, int64_t part_bytes,
                         struct archive_manifest *manifest, struct progress *progress, struct error *err)
{
    struct writing writing = {.store = store, .manifest = manifest, .progress = progress, .part_bytes = part_bytes};
    const size_t size = strlen(columns) + strlen(table) + 80;
    struct statement_wait wait = statement_wait_for(STALLED_US);
    char *sql = malloc(size);
    bool is_written = sql && (writing.packing = packing_new(manifest->packing, err)) != NULL;
    if (sql)
        snprintf(sql, size, "COPY %s (%s) TO STDOUT (FORMAT csv, HEADER true)", table, columns);
    is_written =
        is_written && copy_out(conn, sql, &wait, write_row, &writing, err) && (writing.part_rows == 0 || close_part(&writing, err));
    row_hash_text(manifest->row_hash, &writing.hash);
    if (!is_written && err->kind == ERROR_NONE)
        error_set(err, ERROR_RETRY, "out of memory");
    packing_free(writing.packing);
    free(writing.header);
    free(sql);
    return is_written;
}

struct reading {
    bool (*take)(void *context, const char *row, size_t length, struct error *err);
    void *context;
    struct progress *progress;
    struct csv_rows csv;
    struct row_hash hash;
    int64_t rows, part_rows; /* part_rows: with the header */
};

static bool read_row(void *context, const char *row, size_t length, struct error *err)
{
    struct reading *reading = context;
    if (reading->part_rows++ == 0)
        return true; /* the header */
    row_hash_add(&reading->hash, row, length);
    show(reading->progress, ++reading->rows);
    return !reading->take || reading->take(reading->context, row, length, err);
}

static bool read_piece(void *context, const char *piece, size_t length, struct error *err)
{
    struct reading *reading = context;
    return csv_rows_feed(&reading->csv, piece, length, read_row, reading, err);
}

static bool read_part(struct reading *reading, const struct archive_manifest *manifest, const struct archive_part *part,
                      const struct archive_block *block, struct error *err)
{
    char sha256[ARCHIVE_SHA256_BYTES];
    if (!block->bytes)
        return error_set(err, ERROR_REJECT, "it is missing");
    if ((int64_t)block->length != part->bytes)
        return error_set(err, ERROR_REJECT, "it has %zu bytes instead of %" PRId64, block->length, part->bytes);
    archive_sha256(sha256, block->bytes, block->length);
    if (strcmp(sha256, part->sha256) != 0)
        return error_set(err, ERROR_REJECT, "its SHA-256 is %s, not %s", sha256, part->sha256);
    reading->part_rows = 0;
    csv_rows_reset(&reading->csv);
    if (!packing_unpack(manifest->packing, block->bytes, block->length, read_piece, reading, err))
        return false;
    return (csv_rows_is_whole(&reading->csv) && reading->part_rows - 1 == part->rows) ||
           error_set(err, ERROR_REJECT, "it has %" PRId64 " rows instead of %" PRId64, reading->part_rows - 1, part->rows);
}

bool archive_parts_read(struct archive_store *store, const struct archive_manifest *manifest,
                        bool (*take)(void *context, const char *row, size_t length, struct error *err), void *context,
                        struct progress *progress, struct error *err)
{
    struct reading reading = {.take = take, .context = context, .progress = progress};
    bool is_read = true;
    char hash[ROW_HASH_BYTES], key[ARCHIVE_KEY_BYTES];
    for (int i = 0; is_read && i < manifest->part_count; i++) {
        struct archive_block block;
        archive_key(key, manifest->month, manifest->generation, manifest->parts[i].name);
        is_read = archive_store_get(store, key, &block, err) && read_part(&reading, manifest, &manifest->parts[i], &block, err);
        free(block.bytes);
        if (!is_read)
            error_wrap(err, "%s%s", err->kind == ERROR_REJECT ? "DAMAGED: " : "", key);
    }
    csv_rows_reset(&reading.csv);
    if (is_read && strcmp(row_hash_text(hash, &reading.hash), manifest->row_hash) != 0)
        is_read = error_set(err, ERROR_REJECT, "DAMAGED: the rows of %s have the hash %s, not %s", manifest->month, hash,
                            manifest->row_hash);
    return is_read;
}
