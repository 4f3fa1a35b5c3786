/* import_csv.c - the fuzzer of imports of CSV. See import_file.h. */
#include <stddef.h>
#include <stdint.h>

#include "import_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cut_file(RECORD_CSV, data, size);
    import_file(RECORD_CSV, data, size);
    return 0;
}
