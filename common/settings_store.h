/* settings_store.h - how settings are held: what settings.c, settings_print.c and settings_reload.c share. */
#ifndef TALLYMILL_COMMON_SETTINGS_STORE_H
#define TALLYMILL_COMMON_SETTINGS_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/settings_table.h"

enum { SETTINGS_KAFKA_MAX = 256 };

struct settings_value {
    char *text;     /* what the program uses */
    char *written;  /* what the operator wrote: differs from text when that names a file */
    char *origin;   /* "FILE:LINE", "--set", "default" */
    char *unread;   /* why the file that it names could not be read, where that is no matter yet; else NULL */
    int64_t number; /* COUNT, BYTES, DURATION; of a kafka.* that names a file: settings_file_mark() */
};

struct settings {
    struct settings_value *values;                      /* parallel to settings_table */
    struct kafka_setting kafka[SETTINGS_KAFKA_MAX + 1]; /* the one behind the last stays all NULL */
    struct settings_value kafka_values[SETTINGS_KAFKA_MAX];
    size_t kafka_count;
    char *path;  /* of the file, or NULL */
    char **sets; /* "KEY=VALUE" of the command line */
    size_t set_count;
    unsigned programs; /* that read them: the files of other programs' secrets are let alone */
};

#endif
