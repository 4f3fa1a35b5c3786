/* reason.h - the closed list of why an event becomes a dead letter. Names are stored and shown: they never change. */
#ifndef TALLYMILL_COMMON_REASON_H
#define TALLYMILL_COMMON_REASON_H

enum reason {
    REASON_NONE = 0,
    REASON_EMPTY,          /* value of no bytes */
    REASON_TOMBSTONE,      /* null value */
    REASON_FORMAT,         /* not msgpack: byte c1 */
    REASON_COUNT,          /* more items declared than bytes are left */
    REASON_TRUNCATED,      /* ends inside an item */
    REASON_TRAILING,       /* bytes behind the event */
    REASON_DEPTH,          /* nested too deep */
    REASON_SIZE,           /* value, key, headers or event_data too large */
    REASON_ROOT,           /* not a map */
    REASON_DUP_KEY,        /* a key twice in one map */
    REASON_KEY_TYPE,       /* a key that is no text */
    REASON_KEY,            /* an empty key */
    REASON_KEY_LEN,        /* a key too long */
    REASON_NUL,            /* a NUL byte in text */
    REASON_MISSING,        /* a required field */
    REASON_TYPE,           /* a field of the wrong type */
    REASON_UNKNOWN_KEY,    /* wire.unknown_key = reject */
    REASON_VERSION,        /* v that this worker does not know */
    REASON_UNKNOWN_EVENT,  /* catalogue.unknown = reject */
    REASON_CATEGORY,       /* contradicts the catalogue */
    REASON_SCHEMA,         /* catalogue.attributes = reject */
    REASON_UTF8,           /* text that is not UTF-8 */
    REASON_LEN,            /* text empty or longer than its column */
    REASON_RANGE,          /* a number outside its field */
    REASON_NONFINITE,      /* NaN, infinities */
    REASON_TS_RANGE,       /* time outside the window */
    REASON_ARCHIVED_MONTH, /* its month was archived */
    REASON_EXT,            /* an extension type we do not know */
    REASON_ID,             /* no UUID */
    REASON_REFUSED,        /* Postgres refused the row */
    REASON_COUNT_OF,
};

/* All names in the order of the enum, ended by NULL. */
extern const char *const reason_names[REASON_COUNT_OF + 1];

/* The name as stored in tallymill.dead_letters.reason: "dup_key". Static text. */
const char *reason_name(enum reason reason);

#endif
