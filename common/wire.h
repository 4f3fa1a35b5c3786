/* wire.h - limits of the wire format (schemas/wire.md) that writers and the reader share. */
#ifndef TALLYMILL_COMMON_WIRE_H
#define TALLYMILL_COMMON_WIRE_H

enum {
    WIRE_VERSION = 1,
    WIRE_VALUE_BYTES = 1024 * 1024, /* a message's value */
    WIRE_KEY_BYTES = 64 * 1024,     /* a message's key */
    WIRE_KEPT_BYTES =
        4 * 1024 * 1024 +
        64 * 1024, /* key and value of a dead letter: larger ones are not kept, as no topic of ours would take them again */
    WIRE_HEADER_BYTES = 64 * 1024, /* a message's headers, which are not stored */
    WIRE_EVENT_NAME_BYTES = 100,   /* bytes, not characters: the column would take 100 characters */
    WIRE_CATEGORY_BYTES = 50,
    WIRE_SESSION_ID_BYTES = 255,
    WIRE_DATA_BYTES = 64 * 1024,        /* event_data as msgpack, _extra included */
    WIRE_DATA_DEPTH = 16,               /* event_data itself is level 1 */
    WIRE_MAP_KEY_BYTES = 64 * 1024 - 1, /* a key inside event_data */
};

#endif
