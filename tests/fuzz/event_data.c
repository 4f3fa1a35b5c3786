/* event_data.c - the fuzzer of msgpack that an application hands over (tally_event_data), with msgpack-c as oracle.
 *
 * The same entries are put into a whole event a second time, by msgpack-c, and judged by the rules of schemas/wire.md (oracle.h):
 * the library publishes them exactly when no rule is broken, and then its message holds the same values, byte for byte. The size of
 * the input says where in event_data the map goes: alone, into a map that is open, behind a key of the library's own, into an array
 * (which is a mistake).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "oracle.h"
#include "producer/library/checker.h"
#include "producer/library/event.h"
#include "producer/library/event_bytes.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : complain(#condition, __LINE__))

enum place { ALONE, INSIDE, BEHIND, IN_ARRAY, PLACES };
static const uint8_t id[TALLY_ID_BYTES] = {1, 2, 3};
static const struct oracle_window window = {EVENT_TIME_FIRST_US, EVENT_TIME_END_US};
#define CREATED_US INT64_C(1768435200000000)

static struct catalogue *catalogue;
static struct checker *checker;
static struct tally_event *event;
static msgpack_zone zone;
static msgpack_sbuffer expected;
static struct tally_error reason;

static void complain(const char *condition, int line)
{
    fprintf(stderr, "event_data.c:%d: does not hold: %s (the library said: %s)\n", line, condition, reason.text);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err;
    (void)argc;
    (void)argv;
    catalogue = catalogue_load(NULL, &err);
    checker = catalogue == NULL ? NULL : checker_new(catalogue, false);
    event = tally_event_new();
    if (checker == NULL || event == NULL || !msgpack_zone_init(&zone, 64 * 1024))
        abort();
    msgpack_sbuffer_init(&expected);
    return 0;
}

static void pack_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

/* The whole event as the library should make it, around `entries` of the map. */
static void pack_expected(enum place place, uint32_t count, const uint8_t *entries, size_t length)
{
    msgpack_packer packer;
    msgpack_sbuffer_clear(&expected);
    msgpack_packer_init(&packer, &expected, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, count > 0 || place != ALONE ? 4 : 3);
    pack_text(&packer, "id");
    msgpack_pack_bin(&packer, sizeof id);
    msgpack_pack_bin_body(&packer, id, sizeof id);
    pack_text(&packer, "event_name");
    pack_text(&packer, "login");
    if (count > 0 || place != ALONE) {
        pack_text(&packer, "event_data");
        msgpack_pack_map(&packer, place == BEHIND ? count + 1 : place == INSIDE ? 1 : count);
    }
    if (place != ALONE)
        pack_text(&packer, "a");
    if (place == INSIDE)
        msgpack_pack_map(&packer, count);
    if (place == BEHIND)
        msgpack_pack_nil(&packer);
    msgpack_sbuffer_write(&expected, (const char *)entries, length);
    pack_text(&packer, "created_at");
    msgpack_pack_int64(&packer, CREATED_US);
}

static bool publish(enum place place, const uint8_t *data, size_t size, struct event_message *message)
{
    tally_event_begin(event, "login");
    tally_event_set_id(event, id);
    tally_event_created(event, CREATED_US);
    if (place == INSIDE)
        tally_event_map(event, "a");
    if (place == BEHIND)
        tally_event_null(event, "a");
    if (place == IN_ARRAY)
        tally_event_array(event, "a");
    tally_event_data(event, data, size);
    if (place == INSIDE || place == IN_ARRAY)
        tally_event_end(event);
    reason = (struct tally_error){0};
    bool is_taken = event_encode(event, message, &reason) &&
                    (!event->has_bytes || checker_check(checker, message->value, message->value_length, &reason) == TALLY_OK);
    REQUIRE(is_taken || (reason.code == TALLY_INVALID && reason.text[0] != '\0'));
    return is_taken;
}

/* The entries lie in the message as they came. */
static void check_message(const struct event_message *message, const uint8_t *entries, size_t length)
{
    struct event_message found = {0};
    REQUIRE(length == 0 || memmem(message->value, message->value_length, entries, length) != NULL);
    REQUIRE(memcmp(event_find_id(message->value, message->value_length), id, sizeof id) == 0);
    REQUIRE(event_find_key(message->value, message->value_length, &found) && found.key_length == sizeof id &&
            memcmp(found.key, id, sizeof id) == 0);
}

static void judge(enum place place, bool is_taken, const struct event_message *message, const msgpack_object *map,
                  const uint8_t *data, size_t size)
{
    const uint8_t *entries = data + (*data >= 0x80 && *data < 0x90 ? 1 : *data == 0xde ? 3 : 5);
    const size_t length = (size_t)(data + size - entries);
    msgpack_object root;
    struct oracle_event judged;
    size_t used = 0;
    pack_expected(place, map->via.map.size, entries, length);
    msgpack_zone_clear(&zone);
    const bool is_whole =
        msgpack_unpack(expected.data, expected.size, &used, &zone, &root) == MSGPACK_UNPACK_SUCCESS && used == expected.size;
    if (!is_whole ||
        (!is_taken &&
         size > ORACLE_LARGEST_COUNT)) { /* deeper than msgpack-c goes; a key twice, farther apart than the oracle looks */
        REQUIRE(!is_taken);
        return;
    }
    oracle_judge(&judged, &root, &window, catalogue);
    if (is_taken) {
        REQUIRE(judged.broken == 0);
        check_message(message, entries, length);
    } else {
        REQUIRE(judged.broken != 0 || expected.size > WIRE_DATA_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const enum place place = size % PLACES;
    struct event_message message;
    struct event_message key = {0};
    msgpack_object root;
    size_t used = 0;
    if (size == 0)
        return 0;
    event_find_id(data, size); /* of what a delivery report brings back: any bytes */
    event_find_key(data, size, &key);
    const bool is_taken = publish(place, data, size, &message);
    if (place == IN_ARRAY) {
        REQUIRE(!is_taken);
        return 0;
    }
    if (oracle_declares_too_much(data, data + size)) { /* msgpack-c would reserve memory for it */
        REQUIRE(!is_taken);
        return 0;
    }
    msgpack_zone_clear(&zone);
    const bool is_map = msgpack_unpack((const char *)data, size, &used, &zone, &root) == MSGPACK_UNPACK_SUCCESS && used == size &&
                        root.type == MSGPACK_OBJECT_MAP;
    REQUIRE(is_map || !is_taken);
    if (is_map)
        judge(place, is_taken, &message, &root, data, size);
    return 0;
}
