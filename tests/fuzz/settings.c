/* settings.c - the fuzzer of settings files. A file is refused with a text that names it, or it is read; then what --print-settings
 * writes is read again, and prints the same. A value that names a file (@...) is left out: the fuzzer must not read around the
 * machine.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "memory_file.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVERY_PROGRAM = 0xff };

static char *print(const struct settings *settings, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    settings_print(settings, EVERY_PROGRAM, out);
    fclose(out);
    return text;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set_level(LOG_LEVEL_ERROR);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    if (memchr(data, '@', size))
        return 0;
    error_clear(&err);
    const char *path = memory_file(data, size);
    struct settings *settings = settings_load(path, NULL, 0, &err);
    if (!settings) {
        if (err.kind != ERROR_USAGE || !strstr(err.text, path))
            abort();
        return 0;
    }
    size_t length, again_length;
    char *text = print(settings, &length);
    struct settings *again = settings_load(memory_file((const uint8_t *)text, length), NULL, 0, &err);
    if (!again) {
        fprintf(stderr, "what was printed is refused: %s\n%s\n", err.text, text);
        abort();
    }
    char *again_text = print(again, &again_length);
    if (length != again_length || memcmp(text, again_text, length) != 0) {
        fprintf(stderr, "printed:\n%s\nread again and printed:\n%s\n", text, again_text);
        abort();
    }
    free(again_text);
    free(text);
    settings_free(again);
    settings_free(settings);
    return 0;
}
