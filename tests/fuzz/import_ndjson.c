/* import_ndjson.c - the fuzzer of imports of NDJSON. See import_file.h. */
#include <stddef.h>
#include <stdint.h>

#include "import_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cut_file(RECORD_NDJSON, data, size);
    import_file(RECORD_NDJSON, data, size);
    return 0;
}
