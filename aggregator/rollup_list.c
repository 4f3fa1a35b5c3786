/* rollup_list.c - an array that is read once, and a few limits by name.
 *
 * Invariant: whatever fails, the periods of a piece are tried in ever smaller pieces, so in the end each is computed or has its own
 * error (tallymill.rollup_runs keeps it). Rejected: halving a piece within the list, which is made anew every few seconds and
 * would forget how far the halving had come.
 */
#include "aggregator/rollup_list.h"

#include <stdlib.h>
#include <string.h>

void rollup_list_free(struct rollup_list *list)
{
    free(list->pieces);
    *list = (struct rollup_list){0};
}

bool rollup_list_begin(struct rollup_list *list)
{
    if (!list->pieces)
        list->pieces = calloc(ROLLUP_LIST_MAX, sizeof *list->pieces);
    list->count = list->next = 0;
    return list->pieces != NULL;
}

void rollup_list_add(struct rollup_list *list, const struct rollup_piece *piece)
{
    if (list->count < ROLLUP_LIST_MAX)
        list->pieces[list->count++] = *piece;
}

static struct rollup_limit *find_limit(struct rollup_list *list, const char *rollup)
{
    for (size_t i = 0; i < list->limit_count; i++)
        if (strcmp(list->limits[i].rollup, rollup) == 0)
            return &list->limits[i];
    return NULL;
}

bool rollup_list_take(struct rollup_list *list, struct rollup_piece *piece, int64_t now_us, bool ignores_rest)
{
    while (list->next < list->count) { /* ends: with the list */
        struct rollup_piece *next = &list->pieces[list->next];
        const struct rollup_limit *limit = find_limit(list, next->rollup);
        if (limit && limit->not_before_us > now_us && !ignores_rest) {
            list->next++;
            continue;
        }
        *piece = *next;
        if (limit && next->last_day - next->first_day + 1 > limit->days) {
            piece->first_day = next->last_day - limit->days + 1;
            next->last_day -= limit->days;
        } else {
            list->next++;
        }
        return true;
    }
    return false;
}

void rollup_list_succeeded(struct rollup_list *list, const struct rollup_piece *piece)
{
    struct rollup_limit *limit = find_limit(list, piece->rollup);
    if (!limit)
        return;
    limit->not_before_us = 0;
    if (piece->last_day - piece->first_day + 1 < limit->days)
        return;
    limit->days *= 2;
    if (limit->days > 366) /* no piece is larger */
        *limit = list->limits[--list->limit_count];
}

void rollup_list_failed(struct rollup_list *list, const struct rollup_piece *piece, int64_t now_us, int64_t rest_us)
{
    struct rollup_limit *limit = find_limit(list, piece->rollup);
    if (!limit && list->limit_count < ROLLUP_LIMITS_MAX)
        limit = &list->limits[list->limit_count++];
    if (!limit)
        limit = &list->limits[list->limit_turn++ % ROLLUP_LIMITS_MAX];
    int32_t periods = rollup_piece_periods(piece);
    memcpy(limit->rollup, piece->rollup, sizeof limit->rollup);
    limit->days = (periods > 1 ? periods / 2 : 1) * piece->period_days;
    limit->not_before_us = now_us + rest_us;
    while (list->next < list->count && strcmp(list->pieces[list->next].rollup, piece->rollup) == 0)
        list->next++; /* what is left of the piece; ends: with the list */
}
