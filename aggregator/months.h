/* months.h - the months of analytics_events as the aggregator needs them: made ahead, attached or not, and where their new rows
 * are.
 *
 * New rows lie in a table's last pages, as long as COPY has no room before them. So a month is read from where its end was when the
 * last cycle looked, and a little before (its tail); that costs nothing that grows with the table and needs no index. Rows that
 * were put elsewhere (room that a vacuum found; a worker that was slow) show as a batch with rows missing: then the month is read
 * by its batch index for a while, which is brought up to date before.
 *
 * One thread.
 */
#ifndef TALLYMILL_AGGREGATOR_MONTHS_H
#define TALLYMILL_AGGREGATOR_MONTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct array_text;
struct error;
struct session;

struct month {
    int32_t first_day;  /* since 1970 */
    bool is_attached;   /* in this cycle's snapshot */
    bool is_by_parent;  /* made by hand: read by way of analytics_events, for its name and rights are another's */
    int64_t pages;      /* as far as its batch index is summarised; -1: not by us yet */
    int64_t look_pages; /* its pages at this cycle's look, before the snapshot; -1: not looked at */
    int64_t tail_page;  /* first page that may hold rows not folded yet; reading begins SLACK_PAGES before it; -1: not known */
    int64_t read_from;  /* by this cycle; -1: by the index, or not yet */
    int64_t by_index_until_us, by_index_us; /* after a miss (monotonic); for how long */
    int64_t again_us;                       /* not before (monotonic): a vacuum was at work */
};

struct months {
    struct month *months;
    size_t count, capacity;
    int64_t made_at_us; /* when the months ahead were last looked at; 0: never */
    int64_t noted_at_us; /* when months that others made were last looked for; 0: at once */
    int made_ahead;     /* how many months ahead that was */
};

void months_free(struct months *months);

/* Another server may answer from now on: nothing is known of its indexes. */
void months_forget(struct months *months);

/* Once an hour: makes this month and `ahead` more. A month that cannot be made now (a lock) is logged and tried again in a minute.
 * False: the session failed. */
bool months_make_ahead(struct months *months, struct session *session, int ahead, int64_t now_us, struct error *err);

/* Every 15 s: takes note of months that somebody made by hand. False: the session failed. */
bool months_note_others(struct months *months, struct session *session, int64_t now_us, struct error *err);

/* A cycle reads which months are attached in its snapshot: none, then one after the other. pages: what a followed month has, read
 * with that snapshot; -1: it is none. */
void months_detach(struct months *months);
bool months_attach(struct months *months, int32_t first_day, int64_t pages, bool is_by_parent, struct error *err);

/* The first days of the months whose pages the next cycle should read with its snapshot: those whose tail is known, the newest
 * MONTHS_FOLLOWED of them. */
enum { MONTHS_FOLLOWED = 4 };
void months_list_followed(const struct months *months, struct array_text *dates);

/* A cycle begins: the month has so many pages. Months that are not named are not looked at. */
bool months_look(struct months *months, int32_t first_day, int64_t pages, struct error *err);

/* Whether the month's unfolded rows are to be read by the batch index. */
bool months_is_by_index(const struct months *months, int32_t first_day, int64_t now_us);

/* Whether a cycle that has begun may read the rows of this day: its month was looked at and is read from its tail, or is not
 * attached. */
bool months_is_ready(const struct months *months, int32_t day, int64_t now_us);

/* The page from which on they are to be read, or -1: by the index. Noted for months_miss(). */
int64_t months_read_from(struct month *month, int64_t now_us);

/* Rows of this day were missing: if its month was read from its tail it will be read by the index for some time, and this is true.
 */
bool months_miss(struct months *months, int32_t day, int64_t now_us);

/* The cycle has committed; is_all: and nothing that was visible to it is left unfolded. */
void months_advance(struct months *months, bool is_all);

/* Whether the month that holds this day is attached. */
bool months_is_attached(const struct months *months, int32_t day);

/* Brings the batch index of the month that holds `day` up to its last page. Outside of any transaction. */
bool months_summarize(struct months *months, struct session *session, int32_t day, int64_t now_us, struct error *err);

#endif
