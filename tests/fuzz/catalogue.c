/* catalogue.c - the fuzzer of catalogue files: refused with a text that names the file, or every event is found under its own name,
 * and every attribute has a path and, where it has a closed list, texts.
 */
#include "common/catalogue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/wire.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t total;

static void check_kind(const struct catalogue *catalogue, const struct event_kind *kind)
{
    if (catalogue_find(catalogue, kind->name, kind->name_length) != kind || kind->name_length == 0 ||
        kind->name_length > WIRE_EVENT_NAME_BYTES || kind->category_length == 0 || kind->category_length > WIRE_CATEGORY_BYTES)
        abort();
    for (size_t i = 0; i < kind->attribute_count; i++) {
        const struct attribute *attribute = &kind->attributes[i];
        if (attribute->path_length != strlen(attribute->path) || attribute->path_length == 0 || attribute->type > ATTRIBUTE_ANY)
            abort();
        for (const char *const *value = attribute->values; value && *value; value++)
            total += strlen(*value); /* the sanitizer reads along */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    error_clear(&err);
    const char *path = memory_file(data, size);
    struct catalogue *catalogue = catalogue_load(path, &err);
    if (!catalogue) {
        if (err.kind != ERROR_USAGE || !strstr(err.text, path))
            abort();
        return 0;
    }
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count);
    for (size_t i = 0; i < count; i++)
        check_kind(catalogue, &kinds[i]);
    catalogue_free(catalogue);
    return 0;
}
