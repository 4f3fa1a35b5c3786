/* reader_mutator.c - mutations that keep msgpack whole.
 *
 * Blind mutation breaks the framing of nearly every input, and then only the framing is tested. Half of the time this replaces one
 * item, with all that lies inside it, by another one; the other half is libFuzzer's own. The invariant is only that of a mutator:
 * never more than max_size bytes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/msgpack.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { DEPTH = 40, ITEMS = 400 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static const char *const words[] = {"id",
                                    "event_name",
                                    "event_data",
                                    "created_at",
                                    "_extra",
                                    "_created_at",
                                    "v",
                                    "login",
                                    "doc_generation",
                                    "performance",
                                    "llm",
                                    "latency",
                                    "ttft",
                                    "throughput",
                                    "cache",
                                    "a.b",
                                    "\xc3\xa9",
                                    "\xed\xa0\x80",
                                    "\\u0000",
                                    "\"",
                                    "\x1f",
                                    ""};

/* These write an item of one kind each, at most 300 bytes, and give back its length. */

static size_t make_small(uint8_t *out, uint64_t *state)
{
    out[0] = (uint8_t)next_random(state);
    if (out[0] > 0x7f && out[0] < 0xe0)
        out[0] = 0xc0;
    return 1;
}

static size_t make_number(uint8_t *out, uint64_t *state)
{
    static const uint8_t heads[] = {0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3},
                         bytes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    const size_t which = next_random(state) % sizeof heads;
    out[0] = heads[which];
    for (size_t i = 0; i < bytes[which]; i++)
        out[1 + i] = (uint8_t)(next_random(state) % 4 == 0 ? 0 : next_random(state));
    return 1 + bytes[which];
}

static size_t make_word(uint8_t *out, uint64_t *state)
{
    const char *word = words[next_random(state) % (sizeof words / sizeof *words)];
    const size_t length = strlen(word);
    out[0] = (uint8_t)(0xa0 | length);
    memcpy(out + 1, word, length);
    return 1 + length;
}

static size_t make_bytes(uint8_t *out, uint64_t *state)
{
    const size_t length = next_random(state) % 200;
    out[0] = (uint8_t)(next_random(state) % 2 ? 0xc4 : 0xd9);
    out[1] = (uint8_t)length;
    memset(out + 2, (int)('A' + next_random(state) % 60), length);
    return 2 + length;
}

/* A timestamp of 4 or 8 bytes, or another extension. */
static size_t make_time(uint8_t *out, uint64_t *state)
{
    out[0] = (uint8_t)(0xd6 + next_random(state) % 2);
    out[1] = next_random(state) % 8 ? 0xff : 5;
    for (size_t i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)next_random(state);
    return out[0] == 0xd6 ? 6 : 10;
}

/* Of a random kind. Rare kinds of framing as often as common ones. */
static size_t make_item(uint8_t *out, uint64_t *state)
{
    switch (next_random(state) % 12) {
    case 0: return make_small(out, state);
    case 1: out[0] = (uint8_t)(0xc0 + next_random(state) % 4); return 1;
    case 2:
    case 3:
    case 4: return make_number(out, state);
    case 5:
    case 6:
    case 7: return make_word(out, state);
    case 8: return make_bytes(out, state);
    case 9: return make_time(out, state);
    case 10: out[0] = next_random(state) % 2 ? 0x80 : 0x90; return 1;
    default: out[0] = 0x91; return 1 + make_item(out + 1, state) % 200;
    }
}

/* Where whole items begin and end; containers end behind their last item. Of a container that is cut or broken, the whole items
 * inside count. In one pass: to skip each item from its own begin is quadratic in the depth, and took more time than the reader. */
static size_t find_items(const uint8_t *data, size_t size, const uint8_t *begins[ITEMS], const uint8_t *ends[ITEMS])
{
    struct msgpack_cursor cursor = {data, data + size};
    struct msgpack_item item;
    size_t open[DEPTH], found = 0, depth = 0;
    uint64_t missing[DEPTH]; /* the items that open containers still lack */
    while (found < ITEMS && cursor.at < cursor.end) {
        begins[found] = cursor.at;
        if (msgpack_next(&cursor, &item) != REASON_NONE)
            break;
        const uint64_t inside = item.type == ITEM_MAP ? 2 * (uint64_t)item.length : item.type == ITEM_ARRAY ? item.length : 0;
        if (inside > 0 && depth == DEPTH)
            break;
        ends[found] = inside > 0 ? NULL : cursor.at;
        if (inside > 0) {
            open[depth] = found;
            missing[depth++] = inside;
        }
        found++;
        while (inside == 0 && depth > 0 && --missing[depth - 1] == 0)
            ends[open[--depth]] = cursor.at;
    }
    size_t count = 0;
    for (size_t i = 0; i < found; i++)
        if (ends[i]) {
            begins[count] = begins[i];
            ends[count++] = ends[i];
        }
    return count;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t state = seed;
    const uint8_t *begins[ITEMS], *ends[ITEMS];
    uint8_t made[512];
    next_random(&state);
    const size_t count = next_random(&state) % 2 ? find_items(data, size, begins, ends) : 0;
    if (count == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    const size_t target = next_random(&state) % count, source = next_random(&state) % count;
    const uint8_t *from = begins[source];
    size_t length = (size_t)(ends[source] - from);
    if (next_random(&state) % 4 != 0 || length > sizeof made)
        length = make_item(made, &state);
    else
        memcpy(made, from, length);
    const size_t begin = (size_t)(begins[target] - data), end = (size_t)(ends[target] - data);
    if (size - (end - begin) + length > max_size)
        return LLVMFuzzerMutate(data, size, max_size);
    memmove(data + begin + length, data + end, size - end);
    memcpy(data + begin, made, length);
    return size - (end - begin) + length;
}
