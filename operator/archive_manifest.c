/* archive_manifest.c - see archive_manifest.h. What is read is not believed: who can write to the store can write here what he
 * likes, but not what tallymill.archives says. */
#include "operator/archive_manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "common/error.h"
#include "operator/answer.h"
#include "operator/archive_store.h"

void archive_key(char key[ARCHIVE_KEY_BYTES], const char *month, int generation, const char *name)
{
    snprintf(key, ARCHIVE_KEY_BYTES, ARCHIVE_STORE_EVENTS "/%.7s/%04d/%.40s", month, generation, name);
}

void archive_sha256(char text[ARCHIVE_SHA256_BYTES], const char *bytes, size_t length)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const int is_made = EVP_Digest(bytes, length, digest, &size, EVP_sha256(), NULL);
    assert(is_made == 1 && size == 32); /* of memory that we have: it cannot fail */
    for (unsigned i = 0; is_made && i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static json_t *parts_json(const struct archive_manifest *manifest)
{
    json_t *parts = json_array();
    for (int i = 0; i < manifest->part_count; i++) {
        const struct archive_part *part = &manifest->parts[i];
        json_array_append_new(parts, json_pack("{s:s, s:I, s:I, s:s}", "name", part->name, "rows", (json_int_t)part->rows, "bytes",
                                               (json_int_t)part->bytes, "sha256", part->sha256));
    }
    return parts;
}

char *archive_manifest_text(struct archive_manifest *manifest, struct error *err)
{
    json_t *head = json_pack("{s:i, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:s, s:o}", "format", ARCHIVE_FORMAT, "table",
                             "analytics_events", "month", manifest->month, "generation", manifest->generation, "compression",
                             manifest->packing == PACKING_ZSTD ? "zstd" : "gzip", "rows", (json_int_t)manifest->rows,
                             "foreign_rows", (json_int_t)manifest->foreign_rows, "bytes", (json_int_t)manifest->bytes, "row_hash",
                             manifest->row_hash, "parts", parts_json(manifest));
    char *text =
        head && (!manifest->json || json_object_update(head, manifest->json) == 0) ? json_dumps(head, JSON_INDENT(1)) : NULL;
    json_decref(head);
    if (text)
        archive_sha256(manifest->sha256, text, strlen(text));
    else
        error_set(err, ERROR_RETRY, "no memory for the manifest");
    return text;
}

bool archive_manifest_put(const struct archive_manifest *manifest, const char *text, struct archive_store *store, struct error *err)
{
    char key[ARCHIVE_KEY_BYTES];
    archive_key(key, manifest->month, manifest->generation, ARCHIVE_MANIFEST);
    return archive_store_put(store, key, text, strlen(text), err);
}

static bool is_hex(const char *text, size_t length)
{
    return text && strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

static bool read_part(struct archive_part *part, const json_t *json, int number, enum packing_kind packing)
{
    const char *name = json_string_value(json_object_get(json, "name")),
               *sha256 = json_string_value(json_object_get(json, "sha256"));
    snprintf(part->name, sizeof part->name, "part-%05d.csv.%s", number, packing_suffix(packing));
    part->rows = json_integer_value(json_object_get(json, "rows"));
    part->bytes = json_integer_value(json_object_get(json, "bytes"));
    if (!name || strcmp(name, part->name) != 0 || !is_hex(sha256, ARCHIVE_SHA256_BYTES - 1) || part->rows < 0 || part->bytes <= 0 ||
        part->bytes > ARCHIVE_BLOCK_MAX)
        return false;
    memcpy(part->sha256, sha256, ARCHIVE_SHA256_BYTES);
    return true;
}

static bool read_parts(struct archive_manifest *manifest)
{
    const json_t *parts = json_object_get(manifest->json, "parts");
    int64_t rows = 0, bytes = 0;
    manifest->part_count = (int)json_array_size(parts);
    manifest->parts = calloc((size_t)manifest->part_count + 1, sizeof *manifest->parts);
    for (int i = 0; manifest->parts && i < manifest->part_count; i++) {
        if (!read_part(&manifest->parts[i], json_array_get(parts, (size_t)i), i + 1, manifest->packing))
            return false;
        rows += manifest->parts[i].rows;
        bytes += manifest->parts[i].bytes;
    }
    return manifest->parts && json_is_array(parts) && rows == manifest->rows && bytes == manifest->bytes;
}

static bool read_head(struct archive_manifest *manifest, const char *month, int generation)
{
    const json_t *json = manifest->json;
    const char *packing = json_string_value(json_object_get(json, "compression")),
               *hash = json_string_value(json_object_get(json, "row_hash"));
    const char *named = json_string_value(json_object_get(json, "month"));
    manifest->rows = json_integer_value(json_object_get(json, "rows"));
    manifest->foreign_rows = json_integer_value(json_object_get(json, "foreign_rows"));
    manifest->bytes = json_integer_value(json_object_get(json, "bytes"));
    if (json_integer_value(json_object_get(json, "format")) != ARCHIVE_FORMAT || !named || strcmp(named, month) != 0 ||
        json_integer_value(json_object_get(json, "generation")) != generation || !is_hex(hash, ROW_HASH_BYTES - 1) || !packing ||
        (strcmp(packing, "zstd") != 0 && strcmp(packing, "gzip") != 0) || json_array_size(json_object_get(json, "columns")) == 0)
        return false;
    snprintf(manifest->month, sizeof manifest->month, "%s", month);
    memcpy(manifest->row_hash, hash, ROW_HASH_BYTES);
    manifest->generation = generation;
    manifest->packing = strcmp(packing, "zstd") == 0 ? PACKING_ZSTD : PACKING_GZIP;
    return true;
}

bool archive_manifest_get(struct archive_manifest *manifest, struct archive_store *store, const char *month, int generation,
                          bool *is_there, struct error *err)
{
    char key[ARCHIVE_KEY_BYTES];
    struct archive_block block;
    *manifest = (struct archive_manifest){0};
    archive_key(key, month, generation, ARCHIVE_MANIFEST);
    if (!archive_store_get(store, key, &block, err))
        return false;
    *is_there = block.bytes != NULL;
    if (!*is_there)
        return true;
    archive_sha256(manifest->sha256, block.bytes, block.length);
    manifest->json = json_loadb(block.bytes, block.length, JSON_REJECT_DUPLICATES, NULL);
    free(block.bytes);
    return (json_is_object(manifest->json) && read_head(manifest, month, generation) && read_parts(manifest)) ||
           error_set(err, ERROR_REJECT, "DAMAGED: %s is no manifest of this archive, or its sums do not agree", key);
}

void archive_manifest_reset(struct archive_manifest *manifest)
{
    json_decref(manifest->json);
    free(manifest->parts);
    *manifest = (struct archive_manifest){0};
}

void archive_manifest_figures(const struct archive_manifest *manifest, struct archive_figures *figures)
{
    snprintf(figures->month, sizeof figures->month, "%.7s-01", manifest->month);
    snprintf(figures->generation, sizeof figures->generation, "%d", manifest->generation);
    snprintf(figures->rows, sizeof figures->rows, "%" PRId64, manifest->rows);
    snprintf(figures->foreign_rows, sizeof figures->foreign_rows, "%" PRId64, manifest->foreign_rows);
    snprintf(figures->bytes, sizeof figures->bytes, "%" PRId64, manifest->bytes);
    snprintf(figures->parts, sizeof figures->parts, "%d", manifest->part_count);
}

static bool is_among(const json_t *column, const json_t *columns)
{
    size_t i;
    const json_t *one;
    json_array_foreach(columns, i, one)
        if (json_equal(column, one))
            return true;
    return false;
}

bool archive_manifest_fits(const struct archive_manifest *manifest, const PGresult *columns, bool *has_more)
{
    const json_t *column, *written = json_object_get(manifest->json, "columns");
    json_t *there = answer_array(columns);
    size_t i, found = 0;
    json_array_foreach(written, i, column)
        found += is_among(column, there);
    *has_more = json_array_size(there) > found;
    json_decref(there);
    return found == json_array_size(written);
}

char *archive_manifest_columns(const struct archive_manifest *manifest)
{
    const json_t *columns = json_object_get(manifest->json, "columns");
    size_t size = 1, used = 0;
    for (size_t i = 0; i < json_array_size(columns); i++)
        size += 2 * json_string_length(json_object_get(json_array_get(columns, i), "name")) + 4;
    char *text = calloc(1, size);
    for (size_t i = 0; text && i < json_array_size(columns); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(columns, i), "name"));
        used += (size_t)sprintf(text + used, i > 0 ? ", \"" : "\"");
        for (; name && *name; name++) {
            if (*name == '"')
                text[used++] = '"';
            text[used++] = *name;
        }
        text[used++] = '"';
    }
    return text;
}
