/* months.h - the months of analytics_events: which are attached in this cycle's snapshot, and where their new rows are
 * (month_tail.h). One thread. */
#ifndef TALLYMILL_AGGREGATOR_MONTHS_H
#define TALLYMILL_AGGREGATOR_MONTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/month_tail.h"
#include "common/error.h"

struct array_text;
struct session;

struct month {
    int32_t first_day; /* since 1970 */
    bool is_attached;  /* in this cycle's snapshot */
    bool is_by_parent; /* made by hand: read by way of analytics_events, for its name and rights are another's */
    struct month_tail tail;
};

struct months {
    struct month *months;
    size_t count, capacity;
};

void months_free(struct months *months);

/* Another server may answer from now on: nothing is known of its indexes. */
void months_forget(struct months *months);

/* A cycle reads which months are attached in its snapshot: none, then one after the other. pages: what a followed month has, read
 * with that snapshot; -1: it is none. */
void months_detach(struct months *months);
MUST_CHECK bool months_attach(struct months *months, int32_t first_day, int64_t pages, bool is_by_parent, struct error *err);

/* The first days of the months whose pages the next cycle should read with its snapshot: those whose tail is known, the newest
 * MONTHS_FOLLOWED of them. */
enum { MONTHS_FOLLOWED = 4 };
void months_list_followed(const struct months *months, struct array_text *dates);

/* A cycle begins: the month has so many pages. Months that are not named are not looked at. */
MUST_CHECK bool months_look(struct months *months, int32_t first_day, int64_t pages, struct error *err);

/* Whether the month's unfolded rows are to be read by the batch index. */
bool months_is_by_index(const struct months *months, int32_t first_day, int64_t now_us);

/* Whether a cycle that has begun may read the rows of this day: its month was looked at and is read from its tail, or is not
 * attached. */
bool months_is_ready(const struct months *months, int32_t day, int64_t now_us);

/* Rows of this day were missing: if its month was read from its tail it will be read by the index for some time, and this is true.
 */
bool months_miss(struct months *months, int32_t day, int64_t now_us);

/* The cycle has committed; is_all: and nothing that was visible to it is left unfolded. */
void months_advance(struct months *months, bool is_all);

/* Whether the month that holds this day is attached. */
bool months_is_attached(const struct months *months, int32_t day);

/* Brings the batch index of the month that holds `day` up to its last page. Outside of any transaction. */
MUST_CHECK bool months_summarize(struct months *months, struct session *session, int32_t day, int64_t now_us, struct error *err);

#endif
