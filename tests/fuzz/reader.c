/* reader.c - the fuzzer of the event reader, with msgpack-c as oracle.
 *
 * What the reader stores must be what msgpack-c unpacks, column by column and value by value; what it refuses must break the rule
 * it names (oracle.h), in a place where msgpack-c finds the same. Every input goes through the reader as operators have it by
 * default; where that accepts, also through a strict one, and where only the time is outside the window, through a clamping one.
 *
 * msgpack-c reserves memory for what a header declares, so it never sees an input that declares more items than bytes follow: such
 * a value cannot be whole, and must be refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/transcode.h"
#include "common/tuple.h"
#include "json_match.h"
#include "oracle.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : complain(#condition, __LINE__))

/* 2026, and a record time inside it: the golden events and the hostile corpus live there. */
static const struct oracle_window window = {INT64_C(1767225600000000), INT64_C(1767225600000000) + 365 * CLOCK_DAY_US};
#define MESSAGE_US INT64_C(1768435200000000)

static struct catalogue *catalogue;
static struct transcoder *lenient, *strict, *clamping;
static uint8_t *tuple, *strict_tuple;
static msgpack_zone zone;
static enum reason reason_now;

static void complain(const char *condition, int line)
{
    fprintf(stderr, "reader.c:%d: does not hold: %s (the reader said %s: %s)\n", line, condition, reason_name(reason_now),
            transcoder_detail(lenient));
    abort();
}

static struct transcoder *make(struct transcode_rules rules)
{
    struct error err;
    rules.catalogue = catalogue;
    rules.oldest_us = window.oldest_us;
    rules.newest_us = window.newest_us;
    struct transcoder *made = transcoder_new(&rules, &err);
    if (!made)
        abort();
    return made;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err;
    (void)argc;
    (void)argv;
    catalogue = catalogue_load(NULL, &err);
    tuple = malloc(TRANSCODE_ROOM);
    strict_tuple = malloc(TRANSCODE_ROOM);
    if (!catalogue || !tuple || !strict_tuple || !msgpack_zone_init(&zone, 64 * 1024))
        abort();
    lenient = make((struct transcode_rules){0});
    strict = make((struct transcode_rules){.reject_unknown_keys = true, .reject_unknown_events = true, .reject_attributes = true});
    clamping = make((struct transcode_rules){.clamp = true});
    return 0;
}

/* ---- what was stored ---- */

static const uint8_t *check_text(const uint8_t *at, const msgpack_object *wanted)
{
    const uint32_t length = get_32(at);
    at += 4;
    if (!wanted) {
        REQUIRE(length == UINT32_MAX);
        return at;
    }
    REQUIRE(length == wanted->via.str.size && memcmp(at, wanted->via.str.ptr, length) == 0);
    return at + length;
}

static const uint8_t *check_category(const uint8_t *at, const struct oracle_event *event)
{
    if (event->category || !event->listed_category)
        return check_text(at, event->category);
    const uint32_t length = (uint32_t)strlen(event->listed_category);
    REQUIRE(get_32(at) == length && memcmp(at + 4, event->listed_category, length) == 0);
    return at + 4 + length;
}

static const char *word(const char *at, const char *end, const char *expected)
{
    const size_t length = strlen(expected);
    REQUIRE((size_t)(end - at) >= length && memcmp(at, expected, length) == 0);
    return at + length;
}

/* The members of event_data, then _extra with the unknown keys, then _created_at when the time was clamped. */
static void check_data(const char *at, const char *end, const struct oracle_event *event, const msgpack_object *root, bool clamped)
{
    const uint32_t members = event->data ? event->data->via.map.size : 0;
    bool is_first = true;
    at = word(at, end, "{");
    for (uint32_t i = 0; i < members; i++, is_first = false) {
        at = json_match_pair(is_first ? at : word(at, end, ","), end, &event->data->via.map.ptr[i]);
        REQUIRE(at != NULL);
    }
    if (event->has_unknown_key) {
        at = word(is_first ? at : word(at, end, ","), end, "\"_extra\":{");
        bool is_first_extra = true;
        for (uint32_t i = 0; i < root->via.map.size; i++) {
            const msgpack_object_kv *pair = &root->via.map.ptr[i];
            if (!oracle_is_unknown(pair))
                continue;
            at = json_match_pair(is_first_extra ? at : word(at, end, ","), end, pair);
            REQUIRE(at != NULL);
            is_first_extra = false;
        }
        at = word(at, end, "}");
        is_first = false;
    }
    if (clamped) {
        char member[64];
        snprintf(member, sizeof member, "\"_created_at\":%lld", (long long)event->created_at_us);
        at = word(is_first ? at : word(at, end, ","), end, member);
    }
    REQUIRE(word(at, end, "}") == end);
}

static void check_row(const uint8_t *row, const struct transcoded *result, const struct oracle_event *event,
                      const msgpack_object *root, bool clamped)
{
    const int64_t created_at_us = clamped ? MESSAGE_US : event->created_at_us;
    REQUIRE(row[0] == 0 && row[1] == TUPLE_COLUMNS && get_32(row + TUPLE_BATCH_ID - 4) == 8 && get_32(row + TUPLE_ID - 4) == 16 &&
            get_32(row + TUPLE_CREATED_AT - 4) == 8 && get_32(row + TUPLE_IS_INTERNAL - 4) == 1);
    REQUIRE(memcmp(row + TUPLE_ID, event->id, 16) == 0);
    const uint64_t stored_time = (uint64_t)get_32(row + TUPLE_CREATED_AT) << 32 | get_32(row + TUPLE_CREATED_AT + 4);
    REQUIRE((int64_t)stored_time + CLOCK_POSTGRES_EPOCH_US == created_at_us);
    REQUIRE(result->day == (int32_t)(created_at_us / CLOCK_DAY_US));
    REQUIRE(row[TUPLE_IS_INTERNAL] == (event->internal && event->internal->via.boolean));
    const uint8_t *at = row + TUPLE_EVENT_DATA;
    const uint32_t data_bytes = get_32(at);
    REQUIRE(data_bytes >= 3 && at[4] == 1);
    check_data((const char *)at + 5, (const char *)at + 4 + data_bytes, event, root, clamped);
    at = check_text(at + 4 + data_bytes, event->name);
    at = check_category(at, event);
    at = check_text(at, event->session);
    const bool has_user = get_32(at) != UINT32_MAX;
    REQUIRE(has_user == (event->user != NULL));
    if (has_user)
        REQUIRE(get_32(at) == 8 && ((uint64_t)get_32(at + 4) << 32 | get_32(at + 8)) == event->user->via.u64);
    REQUIRE((size_t)(at + (has_user ? 12 : 4) - row) == result->length && result->length <= TRANSCODE_ROOM);
    REQUIRE(result->has_unknown_key == event->has_unknown_key && result->is_unknown_event == event->is_unknown_event);
    REQUIRE(result->breaks_attributes == event->breaks_attributes);
}

static void check_strict(const uint8_t *data, size_t size, const struct oracle_event *event, const struct transcoded *result)
{
    struct transcoded own;
    const enum reason reason = transcode(strict, data, size, MESSAGE_US, strict_tuple, &own);
    const bool is_good = !event->has_unknown_key && !event->is_unknown_event && !result->breaks_attributes;
    if (reason == REASON_NONE)
        REQUIRE(is_good && own.length == result->length && memcmp(strict_tuple, tuple, own.length) == 0);
    else
        REQUIRE((reason == REASON_UNKNOWN_KEY && event->has_unknown_key) ||
                (reason == REASON_UNKNOWN_EVENT && event->is_unknown_event) ||
                (reason == REASON_SCHEMA && result->breaks_attributes));
}

static void check_clamping(const uint8_t *data, size_t size, const struct oracle_event *event, const msgpack_object *root)
{
    struct transcoded result;
    const enum reason reason = transcode(clamping, data, size, MESSAGE_US, strict_tuple, &result);
    if (reason == REASON_NONE)
        check_row(strict_tuple, &result, event, root, true);
    else
        REQUIRE(reason == REASON_TS_RANGE || reason == REASON_DUP_KEY); /* a time inside event_data; a _created_at of its own */
}

/* ---- what was refused ---- */

/* The byte that "byte 57, key id" names; 0 where none is named. */
static size_t named_byte(size_t size)
{
    unsigned long byte = 0;
    if (sscanf(transcoder_detail(lenient), "byte %lu", &byte) != 1)
        return 0;
    REQUIRE(byte <= size);
    return byte;
}

static bool is_whole(msgpack_unpack_return unpacked)
{
    return unpacked == MSGPACK_UNPACK_SUCCESS || unpacked == MSGPACK_UNPACK_EXTRA_BYTES;
}

/* The reader sees that a container cannot fit at its header; msgpack-c goes on and stumbles later, over anything. But up to that
 * header all is good to both. */
static bool is_cut_at(const uint8_t *data, size_t byte, msgpack_unpack_return unpacked)
{
    msgpack_object root;
    size_t used = 0;
    return !is_whole(unpacked) &&
           (byte == 0 || msgpack_unpack((const char *)data, byte, &used, &zone, &root) == MSGPACK_UNPACK_CONTINUE);
}

/* Reasons of the bytes themselves: msgpack-c must stumble at the same place. */
static void check_framing(enum reason reason, const uint8_t *data, size_t size, msgpack_unpack_return unpacked)
{
    const size_t byte = named_byte(size);
    switch (reason) {
    case REASON_FORMAT: REQUIRE(data[byte] == 0xc1); return;
    case REASON_TRUNCATED: REQUIRE(is_cut_at(data, byte, unpacked)); return;
    case REASON_COUNT: {
        REQUIRE((data[byte] == 0xdd || data[byte] == 0xdf) && size - byte >= 5);
        REQUIRE(get_32(data + byte + 1) * (data[byte] == 0xdf ? UINT64_C(2) : 1) > size - byte - 5);
        return;
    }
    case REASON_TRAILING: REQUIRE(unpacked == MSGPACK_UNPACK_EXTRA_BYTES); return;
    default: return;
    }
}

static bool is_framing(enum reason reason)
{
    return reason == REASON_FORMAT || reason == REASON_TRUNCATED || reason == REASON_COUNT || reason == REASON_TRAILING;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transcoded result;
    const enum reason reason = reason_now = transcode(lenient, data ? data : tuple, size, MESSAGE_US, tuple, &result);
    if (size == 0) {
        REQUIRE(reason == REASON_EMPTY);
        return 0;
    }
    if (oracle_declares_too_much(data, data + size)) {
        REQUIRE(reason != REASON_NONE && reason != REASON_TRAILING);
        if (reason == REASON_COUNT || reason == REASON_FORMAT)
            check_framing(reason, data, size, MSGPACK_UNPACK_PARSE_ERROR);
        return 0;
    }
    msgpack_object root;
    size_t used = 0;
    msgpack_zone_clear(&zone);
    const msgpack_unpack_return unpacked = msgpack_unpack((const char *)data, size, &used, &zone, &root);
    if (is_framing(reason)) {
        check_framing(reason, data, size, unpacked);
        return 0;
    }
    if (!is_whole(unpacked)) {
        REQUIRE(reason != REASON_NONE); /* refused for what came before the bytes that break */
        return 0;
    }
    struct oracle_event event;
    oracle_judge(&event, &root, &window, catalogue);
    if (reason == REASON_NONE) {
        REQUIRE(unpacked == MSGPACK_UNPACK_SUCCESS && used == size && event.broken == 0);
        check_row(tuple, &result, &event, &root, false);
        check_strict(data, size, &event, &result);
    } else if (reason == REASON_SIZE) {
        REQUIRE(size > WIRE_DATA_BYTES);
    } else if (reason == REASON_DUP_KEY && size > ORACLE_LARGEST_COUNT) {
        return 0; /* perhaps farther apart than the oracle looks */
    } else {
        REQUIRE(event.broken >> reason & 1);
        if (event.broken == UINT64_C(1) << REASON_TS_RANGE && unpacked == MSGPACK_UNPACK_SUCCESS)
            check_clamping(data, size, &event, &root);
    }
    return 0;
}
