/* settings_table.h - what a setting is, and every one there is. */
#ifndef TALLYMILL_COMMON_SETTINGS_TABLE_H
#define TALLYMILL_COMMON_SETTINGS_TABLE_H

#include <stdint.h>

enum setting_type {
    SETTING_TEXT,
    SETTING_COUNT,    /* plain integer */
    SETTING_BYTES,    /* "64 MiB": B, KiB, MiB, GiB (also kB, MB, GB as powers of 1000); a bare number is bytes */
    SETTING_DURATION, /* "5 ms": us, ms, s, min, h, day(s); held in microseconds; the unit is required */
    SETTING_CHOICE,   /* one word of `choices` */
    SETTING_AGE,      /* "13 months", "N days" or a date "2015-01-01": see settings_oldest_us() */
};

/* Which programs a key is printed for (--print-settings, --help); all of them accept it. IS_LIVE: a worker or an aggregator that
 * reads it takes a change at a SIGHUP; else it waits for the next start. IS_SECRET: its value is never printed. */
enum setting_program { FOR_CONSUMER = 1, FOR_AGGREGATOR = 2, FOR_PRODUCE = 4, FOR_OPERATOR = 8, IS_LIVE = 16, IS_SECRET = 32 };

struct setting {
    const char *key;
    enum setting_type type;
    const char *fallback; /* default, as an operator would write it */
    int64_t min, max;     /* COUNT, BYTES (bytes), DURATION (us); TEXT: bytes of the text, max 0 = any */
    const char *choices;  /* CHOICE: words separated by '|' */
    unsigned programs;    /* setting_program bits */
    const char *help;     /* one line */
};

/* The table, ended by a NULL key (settings_table.c). */
extern const struct setting settings_table[];

/* One of kafka.*, which have no row: librdkafka knows them. The name without the prefix. */
struct kafka_setting {
    const char *name, *value;
};

#endif
