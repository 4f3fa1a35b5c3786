/* import_forms.c - the fuzzer of the forms that a file is told to have by its beginning: packed, UTF-16, a stream of JSON, sep=,
 * lines that end with CR; and of logs. The first byte says the format. See import_file.h.
 */
#include <stddef.h>
#include <stdint.h>

#include "import_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum record_format formats[] = {RECORD_NDJSON, RECORD_CSV, RECORD_COMBINED, RECORD_MSGPACK};
    if (size > 0)
        import_form(formats[data[0] % 4], data + 1, size - 1);
    return 0;
}
