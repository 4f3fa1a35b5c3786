/* day_order.h - whether times such as 03/04/2024 have the day first or the month, by many of them: a first number above 12 can be
 * no month. No I/O; one thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_DAY_ORDER_H
#define TALLYMILL_PRODUCER_IMPORT_DAY_ORDER_H

#include <stdbool.h>
#include <stddef.h>

/* {0} before the first. */
struct day_order {
    unsigned seen, largest[2]; /* of the first number and the second */
    char separator;
    bool has_clock, has_seconds, has_fraction, has_half /* AM, PM */, is_other /* one of them is in another form */;
};

/* The next time. False: it is not in such a form. */
bool day_order_see(struct day_order *order, const char *text, size_t length);

/* The --time-format that reads them all. *is_certain: no other order does. False: there is none. */
enum { DAY_ORDER_FORMAT_BYTES = 40 };
bool day_order_format(const struct day_order *order, char format[DAY_ORDER_FORMAT_BYTES], bool *is_certain);

#endif
