/* number_driver.c - floats on stdin (native bytes, of 4 or 8 as the only argument says), each as the worker writes it on a line of
 * stdout. For tests/integration/test_numbers.py. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"

int main(int argc, char **argv)
{
    uint8_t bytes[8] = {0}, text[JSON_TEXT_ROOM];
    const size_t width = argc == 2 ? (size_t)atoi(argv[1]) : 0;
    if (width != sizeof(float) && width != sizeof(double))
        return 2;
    while (fread(bytes, width, 1, stdin) == 1) {
        uint8_t *end = text;
        float narrow;
        double wide;
        memcpy(&narrow, bytes, sizeof narrow);
        memcpy(&wide, bytes, sizeof wide);
        const enum reason reason = width == sizeof narrow ? json_write_float32(&end, narrow) : json_write_float64(&end, wide);
        if (reason == REASON_NONE)
            fwrite(text, 1, (size_t)(end - text), stdout);
        putchar('\n');
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
