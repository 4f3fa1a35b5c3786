/* consumer_event.h - events for the reader's tests: packed by msgpack-c, read back from the tuple. */
#ifndef CONSUMER_EVENT_H
#define CONSUMER_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/transcode.h"

/* 2026-01-15T00:00:00Z; the tests' window runs from 2026-01-01 to 2026-12-31. */
#define JANUARY_15_US INT64_C(1768435200000000)
#define JANUARY_1_US  INT64_C(1767225600000000)

struct text_column {
    bool is_null;
    char text[512 * 1024];
};

struct row {
    uint8_t id[16];
    int64_t created_at_us;
    bool is_internal;
    struct text_column event_data, event_name, event_category, session_id;
    bool has_user;
    int64_t user_id;
};

/* The built-in catalogue with these rules' flags; the window is set. Freed by the caller (the catalogue stays). */
struct transcoder *reader_make(struct transcode_rules rules);

/* A whole file; *length its bytes. free() it. */
uint8_t *file_read(const char *path, size_t *length);

/* Takes a tuple apart; asserts that every length adds up to the whole. */
void row_read(struct row *row, const uint8_t *tuple, size_t length);

/* A valid event of the three required fields and event_data {"a": 1}, packed by msgpack-c. Returns its bytes. */
size_t event_pack(uint8_t out[512]);

#endif
