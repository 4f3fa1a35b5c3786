/* packed.c - the fuzzer of `dlq show`: bytes of any kind as a person reads them, with msgpack-c as oracle.
 *
 * What is printed are lines, each with the byte at which its item begins, later ones further on; no character of it can move a
 * cursor. A value that msgpack-c unpacks has as many lines as it has items (a key stands on the line of its value); of anything
 * else the last line says why it ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "operator/packed.h"
#include "oracle.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : complain(#condition, __LINE__))

enum { LEVELS = 30 /* msgpack-c goes as deep as 32 */ };
static char *text;
static size_t length;
static msgpack_zone zone;

static void complain(const char *condition, int line)
{
    fprintf(stderr, "packed.c:%d: does not hold: %s, of\n%s\n", line, condition, text);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (!msgpack_zone_init(&zone, 64 * 1024))
        abort();
    return 0;
}

static bool is_container(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_ARRAY || object->type == MSGPACK_OBJECT_MAP;
}

/* Lines of the value with all that is in it. */
static size_t count_lines(const msgpack_object *object)
{
    size_t lines = 1;
    if (object->type == MSGPACK_OBJECT_ARRAY)
        for (uint32_t i = 0; i < object->via.array.size; i++)
            lines += count_lines(&object->via.array.ptr[i]);
    if (object->type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            const msgpack_object_kv *pair = &object->via.map.ptr[i];
            lines += (is_container(&pair->key) ? count_lines(&pair->key) : 0) + count_lines(&pair->val);
        }
    return lines;
}

/* Nothing but line ends and what is shown. The lines; *last is the last one's text behind its byte, *levels the deepest of them. */
static size_t check_lines(size_t size, const char **last, size_t *levels)
{
    size_t lines = 0, before = 0;
    for (const char *at = text, *end; at < text + length; at = end + 1, lines++) {
        char *behind;
        end = memchr(at, '\n', (size_t)(text + length - at));
        REQUIRE(end != NULL && end - at > 10 && at[0] == ' ' && at[1] == ' ');
        const size_t byte = strtoul(at + 2, &behind, 16);
        REQUIRE(behind >= at + 8 && behind[0] == ' ' && behind[1] == ' ' && byte <= size &&
                (lines == 0 || byte > before || (byte == before && end + 1 == text + length)));
        before = byte;
        *last = behind + strspn(behind, " ");
        *levels = (size_t)(*last - behind) / 2 > *levels ? (size_t)(*last - behind) / 2 : *levels;
        for (const char *character = at; character < end; character++) {
            const uint8_t byte_of = (uint8_t)*character;
            REQUIRE(byte_of >= ' ' && byte_of != 0x7f && !(byte_of == 0xc2 && (uint8_t)character[1] < 0xa0));
        }
    }
    return lines;
}

static bool is_reason(const char *line)
{
    static const char *const reasons[] = {"no msgpack: byte c1\n", "more items are declared than bytes are left\n",
                                          "the bytes end inside this item\n", "nested too deep to be shown\n",
                                          "bytes stand behind the value\n"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(line, reasons[i]) == 0)
            return true;
    return false;
}

static void check(const uint8_t *data, size_t size)
{
    const char *last = "";
    size_t levels = 0;
    const size_t lines = check_lines(size, &last, &levels);
    REQUIRE(lines > 0);
    if (oracle_declares_too_much(data, data + size)) { /* msgpack-c would reserve memory for it */
        REQUIRE(is_reason(last));
        return;
    }
    if (levels >= LEVELS)
        return;
    msgpack_object root;
    size_t used = 0;
    msgpack_zone_clear(&zone);
    const msgpack_unpack_return unpacked = msgpack_unpack((const char *)data, size, &used, &zone, &root);
    if (unpacked != MSGPACK_UNPACK_SUCCESS && unpacked != MSGPACK_UNPACK_EXTRA_BYTES) {
        REQUIRE(is_reason(last));
        return;
    }
    REQUIRE(used == size || is_reason(last));
    REQUIRE(lines == count_lines(&root) + (used < size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *file = open_memstream(&text, &length);
    if (file == NULL)
        abort();
    packed_print(file, data == NULL ? (const uint8_t *)"" : data, size);
    if (fclose(file) != 0)
        abort();
    check(data, size);
    free(text);
    return 0;
}
