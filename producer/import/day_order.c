/* day_order.c - see day_order.h.
 *
 * For a proposal only: an import never decides by what it has seen so far, because the first 1,000 lines may well be of one day
 * below 13.
 */
#include "producer/import/day_order.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *at, *end;
};

/* Up to `most` digits; 0: none. */
static size_t take_number(struct text *text, size_t most, unsigned *number)
{
    size_t digits = 0;
    *number = 0;
    for (; digits < most && text->at < text->end && isdigit((unsigned char)*text->at); digits++)
        *number = *number * 10 + (unsigned)(*text->at++ - '0');
    return digits;
}

static bool take(struct text *text, char byte)
{
    bool is_there = text->at < text->end && *text->at == byte;
    text->at += is_there;
    return is_there;
}

/* HH:MM[:SS[.f]][ AM] to the end. */
static bool take_clock(struct text *text, struct day_order *order)
{
    unsigned number;
    bool ok = take_number(text, 2, &number) > 0 && take(text, ':') && take_number(text, 2, &number) == 2;
    order->has_clock = true;
    if (ok && take(text, ':')) {
        ok = take_number(text, 2, &number) == 2;
        order->has_seconds = true;
        if (ok && take(text, '.'))
            ok = order->has_fraction = take_number(text, 9, &number) > 0;
    }
    if (ok && text->end - text->at == 3 && *text->at == ' ' && strchr("AaPp", text->at[1]) != NULL &&
        strchr("Mm", text->at[2]) != NULL) {
        order->has_half = true;
        text->at = text->end;
    }
    return ok && text->at == text->end;
}

static bool take_all(struct text *text, struct day_order *order)
{
    unsigned numbers[2], year;
    if (take_number(text, 2, &numbers[0]) == 0 || text->at == text->end || strchr("/.-", *text->at) == NULL)
        return false;
    order->separator = *text->at++;
    if (take_number(text, 2, &numbers[1]) == 0 || !take(text, order->separator) || take_number(text, 4, &year) != 4)
        return false;
    for (int i = 0; i < 2; i++)
        order->largest[i] = numbers[i];
    return text->at == text->end || (take(text, ' ') && take_clock(text, order));
}

bool day_order_see(struct day_order *order, const char *text, size_t length)
{
    struct text left = {text, text + length};
    struct day_order one = {0};
    if (length == 0 || !take_all(&left, &one)) {
        order->is_other = true;
        return false;
    }
    const bool is_alike = one.separator == order->separator && one.has_clock == order->has_clock &&
                          one.has_seconds == order->has_seconds && one.has_fraction == order->has_fraction &&
                          one.has_half == order->has_half;
    if (order->seen++ == 0) {
        one.seen = 1;
        one.is_other = order->is_other;
        *order = one;
        return true;
    }
    order->is_other = order->is_other || !is_alike;
    for (int i = 0; i < 2; i++)
        order->largest[i] = one.largest[i] > order->largest[i] ? one.largest[i] : order->largest[i];
    return true;
}

bool day_order_format(const struct day_order *order, char format[DAY_ORDER_FORMAT_BYTES], bool *is_certain)
{
    const bool may_be_day_first = order->largest[1] <= 12, may_be_month_first = order->largest[0] <= 12;
    *is_certain = may_be_day_first != may_be_month_first;
    if (order->seen == 0 || order->is_other || (!may_be_day_first && !may_be_month_first))
        return false;
    const char *clock = !order->has_clock ? "" : order->has_half ? " %I:%M" : " %H:%M";
    snprintf(format, DAY_ORDER_FORMAT_BYTES, "%s%c%s%c%%Y%s%s%s%s", may_be_day_first ? "%d" : "%m", order->separator,
             may_be_day_first ? "%m" : "%d", order->separator, clock, order->has_seconds ? ":%S" : "",
             order->has_fraction ? ".%f" : "", order->has_half ? " %p" : "");
    return true;
}
