/* packed.c - see packed.h.
 *
 * The workers' reader (common/msgpack.h) says what is there, so that a byte named in a dead letter's detail is a line here. JSON
 * was rejected as the form: what died is often what JSON cannot say, and where an item begins is what is looked for.
 */
#include "operator/packed.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/msgpack.h"
#include "common/json_text.h"
#include "common/utf8.h"
#include "operator/terminal.h"

enum { DEPTH_MAX = 64, TEXT_MAX = 200, BYTES_MAX = 32 };

struct walk {
    FILE *out;
    const uint8_t *bytes;
    struct msgpack_cursor cursor;
    uint64_t left[DEPTH_MAX + 1]; /* items still to come, of each container that is open */
    bool is_map[DEPTH_MAX + 1];
    int depth;
    bool is_line_open; /* "KEY = ", and the value comes */
};

static void print_text(FILE *out, const struct msgpack_item *item)
{
    char text[TEXT_MAX + 1];
    const size_t shown = item->length < TEXT_MAX ? item->length : TEXT_MAX;
    size_t used = 0;
    fputc('"', out);
    for (size_t at = 0; at <= shown; at++) { /* from NUL to NUL */
        if (at < shown && item->bytes[at] != 0) {
            text[used++] = (char)item->bytes[at];
            continue;
        }
        text[used] = '\0';
        terminal_text(out, text);
        used = 0;
        if (at < shown)
            fputs("\\x00", out);
    }
    fputc('"', out);
    if (shown < item->length)
        fprintf(out, " and %zu bytes more", item->length - shown);
}

static void print_hexadecimal(FILE *out, const char *what, const struct msgpack_item *item)
{
    fprintf(out, "%s of %" PRIu32 " bytes", what, item->length);
    for (uint32_t i = 0; i < item->length && i < BYTES_MAX; i++)
        fprintf(out, "%s%02x", i == 0 ? ": " : "", item->bytes[i]);
    if (item->length > BYTES_MAX)
        fputs("...", out);
}

static void print_extension(FILE *out, const struct msgpack_item *item)
{
    int64_t wall_us;
    uint8_t text[JSON_TEXT_ROOM], *end = text;
    if (msgpack_time(item, &wall_us) == REASON_NONE && json_write_time(&end, wall_us) == REASON_NONE) {
        fprintf(out, "timestamp %.*s", (int)(end - text) - 2, (const char *)text + 1);
        return;
    }
    char what[32];
    snprintf(what, sizeof what, "extension %d", item->ext_type);
    print_hexadecimal(out, what, item);
}

static void print_real(FILE *out, const struct msgpack_item *item)
{
    uint8_t text[JSON_TEXT_ROOM], *end = text;
    const enum reason reason =
        item->type == ITEM_FLOAT32 ? json_write_float32(&end, item->float32) : json_write_float64(&end, item->float64);
    if (reason == REASON_NONE)
        fprintf(out, "%.*s", (int)(end - text), (const char *)text);
    else
        fprintf(out, "%f", item->type == ITEM_FLOAT32 ? (double)item->float32 : item->float64); /* nan, inf */
}

static void print_item(FILE *out, const struct msgpack_item *item)
{
    switch (item->type) {
    case ITEM_NIL: fputs("nil", out); break;
    case ITEM_BOOL: fputs(item->uint ? "true" : "false", out); break;
    case ITEM_UINT: fprintf(out, "%" PRIu64, item->uint); break;
    case ITEM_INT: fprintf(out, "%" PRId64, item->sint); break;
    case ITEM_FLOAT32:
    case ITEM_FLOAT64: print_real(out, item); break;
    case ITEM_STR: print_text(out, item); break;
    case ITEM_BIN: print_hexadecimal(out, "bin", item); break;
    case ITEM_EXT: print_extension(out, item); break;
    case ITEM_ARRAY: fprintf(out, "array of %" PRIu32, item->length); break;
    case ITEM_MAP: fprintf(out, "map of %" PRIu32, item->length); break;
    }
}

/* Whether the item is the key of what follows. */
static bool is_key(const struct walk *walk)
{
    return walk->is_map[walk->depth] && walk->left[walk->depth] % 2 == 0;
}

static void begin_line(const struct walk *walk, const uint8_t *at)
{
    fprintf(walk->out, "  %06zx  %*s", (size_t)(at - walk->bytes), 2 * walk->depth, "");
}

/* The end of it all: false. */
static bool stop(struct walk *walk, const char *why)
{
    begin_line(walk, walk->cursor.at);
    fprintf(walk->out, "%s\n", why);
    return false;
}

/* One item: a key opens a line, its value closes it. */
static bool step(struct walk *walk)
{
    struct msgpack_item item;
    const uint8_t *start = walk->cursor.at;
    const enum reason reason = msgpack_next(&walk->cursor, &item);
    if (reason != REASON_NONE) {
        if (walk->is_line_open)
            fputc('\n', walk->out);
        return stop(walk, reason == REASON_FORMAT  ? "no msgpack: byte c1"
                          : reason == REASON_COUNT ? "more items are declared than bytes are left"
                                                   : "the bytes end inside this item");
    }
    if (!walk->is_line_open)
        begin_line(walk, start);
    print_item(walk->out, &item);
    const bool is_container = item.type >= ITEM_ARRAY;
    walk->is_line_open = is_key(walk) && !is_container;
    fputs(walk->is_line_open ? " = " : "\n", walk->out);
    walk->left[walk->depth]--;
    if (!is_container)
        return true;
    if (walk->depth == DEPTH_MAX)
        return stop(walk, "nested too deep to be shown");
    walk->depth++;
    walk->is_map[walk->depth] = item.type == ITEM_MAP;
    walk->left[walk->depth] = (uint64_t)item.length * (item.type == ITEM_MAP ? 2 : 1);
    return true;
}

void packed_print(FILE *out, const uint8_t *bytes, size_t length)
{
    struct walk walk = {.out = out, .bytes = bytes, .cursor = {bytes, bytes + length}, .left = {1}};
    for (;;) {
        while (walk.depth > 0 && walk.left[walk.depth] == 0)
            walk.depth--;
        if (walk.left[walk.depth] == 0)
            break;
        if (!step(&walk)) /* ends with the bytes: each item takes one at least */
            return;
    }
    if (walk.cursor.at < walk.cursor.end)
        stop(&walk, "bytes stand behind the value");
}

/* The item, where it is a text of that name. */
static bool is_named(const struct msgpack_item *item, const char *name)
{
    return item->type == ITEM_STR && item->length == strlen(name) && memcmp(item->bytes, name, item->length) == 0;
}

bool packed_text_of(const uint8_t *bytes, size_t length, const char *key, char *text, size_t size)
{
    struct msgpack_cursor cursor = {bytes, bytes + length};
    struct msgpack_item map, item;
    text[0] = '\0';
    if (length == 0 || msgpack_next(&cursor, &map) != REASON_NONE || map.type != ITEM_MAP) {
        return false;
    }
    for (uint32_t pair = 0; pair < map.length; pair++) {
        struct msgpack_cursor key_begin = cursor;
        if (msgpack_skip(&cursor, DEPTH_MAX) != REASON_NONE || msgpack_next(&key_begin, &item) != REASON_NONE) {
            return false;
        }
        const bool is_wanted = is_named(&item, key);
        struct msgpack_cursor value = cursor;
        if (is_wanted) {
            if (msgpack_next(&value, &item) != REASON_NONE || item.type != ITEM_STR) {
                return false;
            }
            const size_t whole = item.length < size ? item.length : size - 1;
            memcpy(text, item.bytes, whole);
            text[whole] = '\0';
            utf8_trim(text);
            return true;
        }
        if (msgpack_skip(&cursor, DEPTH_MAX) != REASON_NONE) {
            return false;
        }
    }
    return false;
}
