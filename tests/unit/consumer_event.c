/* consumer_event.c - see consumer_event.h. */
#include "consumer_event.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/tuple.h"

struct transcoder *reader_make(struct transcode_rules rules)
{
    static struct catalogue *catalogue;
    struct error err;
    if (!catalogue)
        catalogue = catalogue_load(NULL, &err);
    cr_assert_not_null(catalogue);
    rules.catalogue = catalogue;
    rules.oldest_us = JANUARY_1_US;
    rules.newest_us = JANUARY_1_US + 365 * CLOCK_DAY_US;
    struct transcoder *reader = transcoder_new(&rules, &err);
    cr_assert_not_null(reader);
    return reader;
}

uint8_t *file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*length + 1);
    cr_assert_eq(fread(bytes, 1, *length, file), *length);
    bytes[*length] = 0;
    fclose(file);
    return bytes;
}

static const uint8_t *text_read(struct text_column *column, const uint8_t *at, size_t skip)
{
    const uint32_t length = get_32(at);
    at += 4;
    column->is_null = length == UINT32_MAX;
    if (column->is_null)
        return at;
    cr_assert_lt(length, sizeof column->text);
    memcpy(column->text, at + skip, length - skip);
    column->text[length - skip] = '\0';
    return at + length;
}

void row_read(struct row *row, const uint8_t *tuple, size_t length)
{
    cr_assert_eq(tuple[0] << 8 | tuple[1], TUPLE_COLUMNS);
    cr_assert_eq(get_32(tuple + TUPLE_BATCH_ID - 4), 8);
    cr_assert_eq(get_32(tuple + TUPLE_ID - 4), 16);
    cr_assert_eq(get_32(tuple + TUPLE_CREATED_AT - 4), 8);
    cr_assert_eq(get_32(tuple + TUPLE_IS_INTERNAL - 4), 1);
    memcpy(row->id, tuple + TUPLE_ID, 16);
    row->created_at_us = (int64_t)get_64(tuple + TUPLE_CREATED_AT) + CLOCK_POSTGRES_EPOCH_US;
    row->is_internal = tuple[TUPLE_IS_INTERNAL] == 1;
    const uint8_t *at = tuple + TUPLE_EVENT_DATA;
    cr_assert_eq(at[4], 1, "jsonb's version");
    at = text_read(&row->event_data, at, 1);
    at = text_read(&row->event_name, at, 0);
    at = text_read(&row->event_category, at, 0);
    at = text_read(&row->session_id, at, 0);
    const uint32_t user_bytes = get_32(at);
    at += 4;
    row->has_user = user_bytes != UINT32_MAX;
    if (row->has_user) {
        cr_assert_eq(user_bytes, 8);
        row->user_id = (int64_t)get_64(at);
        at += 8;
    }
    cr_assert_eq((size_t)(at - tuple), length);
}

static void pack_key(msgpack_packer *packer, const char *key)
{
    msgpack_pack_str(packer, strlen(key));
    msgpack_pack_str_body(packer, key, strlen(key));
}

size_t event_pack(uint8_t out[512])
{
    static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16};
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 4);
    pack_key(&packer, "id");
    msgpack_pack_bin(&packer, sizeof id);
    msgpack_pack_bin_body(&packer, id, sizeof id);
    pack_key(&packer, "event_name");
    pack_key(&packer, "login");
    pack_key(&packer, "event_data");
    msgpack_pack_map(&packer, 1);
    pack_key(&packer, "method");
    pack_key(&packer, "email");
    pack_key(&packer, "created_at");
    msgpack_pack_int64(&packer, JANUARY_15_US);
    cr_assert_leq(buffer.size, 512);
    memcpy(out, buffer.data, buffer.size);
    const size_t length = buffer.size;
    msgpack_sbuffer_destroy(&buffer);
    return length;
}
