/* erase_first_seen.c - see erase.h: since when users are known in months that left (tallymill.first_seen).
 *
 * Of those who are erased it goes. Of others who lose events, for they had one of the sessions, it may be the moment of such an
 * event: then it is told anew, by what the archives hold of them besides. Months that are attached need not tell, for whoever asks
 * takes the earlier of both; a month that leaves again tells by itself (begin_leaving). All this comes before any event goes. So
 * nothing has to be remembered: while a run that was killed has left events, they say whose moment may still be theirs. Weeks of
 * months that are away, in which those others were, count them by the moment before: they are noted, and computed anew
 * (erase_weeks).
 *
 * Rejected: to take the moment away, and have the months that leave again tell. Who was seen in another month that left, and in no
 * other event of these, would be new there.
 */
#include "operator/erase.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/failpoint.h"
#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/step_teller.h"

extern const char erase_first_seen_sql[], erase_first_seen_look_sql[];

enum { FIRST_SIZE = 64 };

static int compare_who(const struct erase_seen *one, const struct erase_seen *other)
{
    return one->user != other->user ? (one->user > other->user ? 1 : -1) : one->is_internal - other->is_internal;
}

static int compare(const void *one, const void *other)
{
    const struct erase_seen *a = one, *b = other;
    const int who = compare_who(a, b);
    return who != 0 ? who : strcmp(a->at, b->at);
}

/* Sorted, each once with the earliest. */
static void settle(struct erase_seen_list *list)
{
    size_t kept = 0;
    if (list->count > 0)
        qsort(list->all, list->count, sizeof *list->all, compare);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || compare_who(&list->all[kept - 1], &list->all[i]) != 0)
            list->all[kept++] = list->all[i];
    list->count = kept;
}

static bool widen(struct erase_seen_list *list, struct error *err)
{
    const size_t size = list->size > 0 ? list->size * 2 : FIRST_SIZE;
    struct erase_seen *wider = realloc(list->all, size * sizeof *wider);
    if (!wider)
        return error_set(err, ERROR_RETRY, "no memory for %zu users who lose events", size);
    list->all = wider;
    list->size = size;
    return true;
}

bool erase_seen_add(struct erase_seen_list *list, const struct erase_seen *seen, struct error *err)
{
    if (list->count == list->size) {
        settle(list);
        if (list->count * 2 >= list->size && !widen(list, err))
            return false;
    }
    list->all[list->count++] = *seen;
    return true;
}

static int compare_whom(const void *one, const void *other)
{
    return compare_who(one, other);
}

struct erase_seen *erase_seen_find(struct erase_seen_list *list, const struct erase_seen *seen)
{
    return list->count > 0 ? bsearch(seen, list->all, list->count, sizeof *seen, compare_whom) : NULL;
}

/* The columns of a list, as Postgres reads arrays. */
struct columns {
    struct array_text users, internals, moments;
};

static void begin(struct columns *columns)
{
    *columns = (struct columns){0};
    array_text_begin(&columns->users);
    array_text_begin(&columns->internals);
    array_text_begin(&columns->moments);
}

static void add(struct columns *columns, int64_t user, bool is_internal, const char *at)
{
    array_text_add_int64(&columns->users, user);
    array_text_add(&columns->internals, is_internal ? "t" : "f", 1);
    array_text_add(&columns->moments, at, strlen(at));
}

static bool end(struct columns *columns, const char *values[3], struct error *err)
{
    values[0] = array_text_end(&columns->users);
    values[1] = array_text_end(&columns->internals);
    values[2] = array_text_end(&columns->moments);
    return (values[0] && values[1] && values[2]) || error_set(err, ERROR_RETRY, "out of memory");
}

static void reset(struct columns *columns)
{
    array_text_free(&columns->users);
    array_text_free(&columns->internals);
    array_text_free(&columns->moments);
}

/* Of those who lose events in archives, and of those who do in months that can be read, who are to be told anew: with no moment. */
static bool choose(struct erase_run *run, struct error *err)
{
    struct columns columns;
    const char *values[5] = {run->subject.user_array, run->subject.session_array};
    settle(&run->seen);
    begin(&columns);
    for (size_t i = 0; i < run->seen.count; i++)
        add(&columns, run->seen.all[i].user, run->seen.all[i].is_internal, run->seen.all[i].at);
    PGresult *chosen = end(&columns, values + 2, err)
                           ? postgres_query_params(run->conn, erase_first_seen_look_sql, 5, values, ERASE_QUERY_US, err)
                           : NULL;
    bool is_good = chosen != NULL;
    run->seen.count = 0;
    for (int row = 0; is_good && row < PQntuples(chosen); row++)
        is_good = erase_seen_add(&run->seen,
                                 &(struct erase_seen){.user = answer_int(chosen, row, "user_id"),
                                                      .is_internal = answer_bool(chosen, row, "is_internal")},
                                 err);
    PQclear(chosen);
    reset(&columns);
    return is_good;
}

static bool tell(struct erase_run *run, struct error *err)
{
    struct columns columns;
    struct array_text days = {0};
    char erasure[24];
    const char *values[5] = {NULL, NULL, NULL, erasure, NULL};
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    begin(&columns);
    array_text_begin(&days);
    for (size_t i = 0; i < run->subject.user_count; i++)
        for (int is_internal = 0; is_internal < 2; is_internal++)
            add(&columns, run->subject.users[i], is_internal, "");
    for (size_t i = 0; i < run->seen.count; i++)
        add(&columns, run->seen.all[i].user, run->seen.all[i].is_internal, run->seen.all[i].at);
    erase_archives_add_days(run, &days);
    values[4] = array_text_end(&days);
    PGresult *told = end(&columns, values, err) && (values[4] || error_set(err, ERROR_RETRY, "out of memory"))
                         ? postgres_query_params(run->conn, erase_first_seen_sql, 5, values, ERASE_QUERY_US, err)
                         : NULL;
    PQclear(told);
    array_text_free(&days);
    reset(&columns);
    return told != NULL;
}

bool erase_first_seen(struct erase_run *run, struct error *err)
{
    step_teller_begin("tallymill erase", "looks since when users are known");
    if (!choose(run, err))
        return false;
    if (run->seen.count > 0)
        erase_archives_see(run);
    const bool is_told = run->subject.user_count + run->seen.count == 0 || tell(run, err);
    FAILPOINT("erase_told");
    return is_told;
}
