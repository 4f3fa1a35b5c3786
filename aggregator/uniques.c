/* uniques.c - see uniques.h. Each step has a message that begins it (unique_messages.c), and what is done with the answer; a step
 * that has nothing to ask is passed over.
 *
 * Invariant: at each commit the matrix is the one that the keys in tallymill.day_keys, and those of the newest day as of its last
 * run, give when they are counted from nothing; and a day's keys are those of the version that tallymill.unique_runs says.
 *
 * A day is taken in parts of so many keys as fit into the share of memory.max: the query gives them in order of their slots, of
 * which a part is a run. The other days' keys lie in parts too, by the same slots, so that a part reads only those that it may
 * meet. The day's own old rows of the matrix, where its keys were stored nowhere, are taken off first and so cancel against what is
 * counted anew: only what differs is written.
 *
 * Rejected: a thread with calls that wait (two connections and a lock would be shared for it); the walk in SQL, over a row for each
 * key and day (150 times the bytes).
 */
#include "aggregator/uniques.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"

enum {
    CELLS_MOST = 16384,
    FOUND_A_KEY = 3,
    KEY_BYTES = 448,
    LEAST_KEYS = 256,
    LISTS_BYTES = 64 << 10, /* of FETCH_LISTS_MOST lists in one answer */
    SLOT_TIMES = 4,
    SECRET_HEX = 2 * IDENTITY_SECRET_BYTES
};
enum { BEGUN_DAY, BEGUN_VERSION, BEGUN_DEFINITION, BEGUN_RUN, BEGUN_WAS_STORED, BEGUN_IS_STORED, BEGUN_HAS_LATER };
enum { KEY_SLOT, KEY_TEXT, KEY_EXTERNAL, KEY_INTERNAL };
enum { ROW_SUBJECT, ROW_POPULATION, ROW_PREVIOUS, ROW_KEYS };
enum { LIST_DAY, LIST_KEYS, LIST_NEXT_BYTES };

#define DAY_OLD   (-719162) /* 0001-01-01, which stands for all days whose keys are not kept (schemas/functions/kept_keys.sql) */
#define KEPT_FROM "(SELECT s.kept_from FROM tallymill.unique_state s)"

static bool begin_day(struct uniques *uniques, PGresult *answer, struct error *err);
static bool begin_kind(struct uniques *uniques, struct error *err);
static bool take_rows(struct uniques *uniques, const PGresult *answer, struct error *err);
static bool gather(struct uniques *uniques, struct error *err);
static bool put_row(struct uniques *uniques, int slot, struct error *err);
static bool take_before(struct uniques *uniques, const PGresult *answer, struct error *err);
static bool begin_walk(struct uniques *uniques, struct error *err);
static bool take_walk(struct uniques *uniques, const PGresult *answer, struct error *err);
static bool turn(struct uniques *uniques, struct error *err);
static bool write_part(struct uniques *uniques, struct error *err);
static bool end_part(struct uniques *uniques, struct error *err);
static bool end_kind(struct uniques *uniques, struct error *err);

int64_t uniques_share_bytes(int64_t memory_bytes)
{
    return memory_bytes / 12;
}

void uniques_init(struct uniques *uniques, int64_t memory_bytes, uint64_t seed)
{
    *uniques = (struct uniques){.failed_day = DAY_NEVER, .keys_most = (size_t)(uniques_share_bytes(memory_bytes) / KEY_BYTES)};
    uniques->keys_now = uniques->keys_most;
    key_changes_init(&uniques->changes, &uniques->cells, seed, FOUND_A_KEY * uniques->keys_most);
}

void uniques_stop(struct uniques *uniques)
{
    PQclear(uniques->chunk);
    free(uniques->sql);
    uniques->chunk = NULL;
    uniques->sql = NULL;
    uniques->step = UNIQUES_IDLE;
    uniques->has_keys_cursor = uniques->has_others_cursor = false;
    key_changes_free(&uniques->changes);
    unique_cells_free(&uniques->cells);
    key_bytes_free(&uniques->bytes);
}

void uniques_free(struct uniques *uniques)
{
    uniques_stop(uniques);
}

static bool say_first(struct uniques *uniques, struct error *err)
{
    if (!uniques->has_secret)
        return unique_messages_say(
            uniques, UNIQUES_SECRET, err,
            POSTGRES_BEGIN("READ COMMITTED") "; SELECT pg_catalog.encode(secret, 'hex') FROM tallymill.unique_secret; COMMIT");
    return uniques->failed_day != DAY_NEVER ? unique_messages_failure(uniques, err) : unique_messages_begin(uniques, err);
}

bool uniques_start(struct uniques *uniques, int64_t epoch, const char *since, int64_t keep_us, int64_t timeout_us, int64_t now_us,
                   struct error *err)
{
    uniques->epoch = epoch;
    uniques->since = since;
    uniques->keep_us = keep_us;
    uniques->timeout_us = timeout_us;
    uniques->begun_us = now_us;
    uniques->did_run = false;
    return say_first(uniques, err);
}

static int digit(char character)
{
    return character <= '9' ? character - '0' : character - 'a' + 10;
}

static bool take_secret(struct uniques *uniques, const PGresult *answer, struct error *err)
{
    if (!answer || PQntuples(answer) != 1 || PQgetlength(answer, 0, 0) != SECRET_HEX)
        return error_set(
            err, ERROR_FATAL,
            "table tallymill.unique_secret has not its one row: keys of old days could not be told from new ones. Restore it");
    const char *hex = PQgetvalue(answer, 0, 0);
    for (size_t i = 0; i < IDENTITY_SECRET_BYTES; i++)
        uniques->identity.text_secret[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    uniques->has_secret = true;
    return say_first(uniques, err);
}

static bool finish(struct uniques *uniques, int64_t now_us)
{
    if (uniques->step == UNIQUES_END) {
        char date[CLOCK_DAY_BYTES];
        clock_format_day(date, uniques->day);
        uniques->did_run = true;
        uniques->runs++;
        uniques->took_us += now_us - uniques->begun_us;
        uniques->keys_now = uniques->keys_most;
        log_debug("uniques counted", "day=%s stored=%s took_ms=%" PRId64, date, uniques->is_stored ? "yes" : "no",
                  (now_us - uniques->begun_us) / 1000);
    }
    uniques_stop(uniques);
    return true;
}

bool uniques_take(struct uniques *uniques, PGresult *answer, int64_t now_us, struct error *err)
{
    bool succeeded = false;
    switch (uniques->step) {
    case UNIQUES_SECRET: succeeded = take_secret(uniques, answer, err); break;
    case UNIQUES_NOTE:
        uniques->failed_day = DAY_NEVER;
        succeeded = unique_messages_begin(uniques, err);
        break;
    case UNIQUES_BEGIN: succeeded = begin_day(uniques, answer, err); break;
    case UNIQUES_ROWS: succeeded = take_rows(uniques, answer, err); break;
    case UNIQUES_KEYS:
        PQclear(uniques->chunk);
        uniques->chunk = answer;
        uniques->row = 0;
        return gather(uniques, err);
    case UNIQUES_BEFORE: succeeded = take_before(uniques, answer, err); break;
    case UNIQUES_BACK:
    case UNIQUES_FORTH: succeeded = take_walk(uniques, answer, err); break;
    case UNIQUES_WRITE: succeeded = end_part(uniques, err); break;
    case UNIQUES_CHANGE:
        unique_cells_reset(&uniques->cells);
        uniques->step = UNIQUES_KEYS;
        succeeded = uniques->is_last_part ? end_kind(uniques, err) : gather(uniques, err);
        break;
    case UNIQUES_IDLE:
    case UNIQUES_END:
    case UNIQUES_NOTHING: succeeded = finish(uniques, now_us); break;
    }
    PQclear(answer);
    return succeeded;
}

static int64_t number_of(const PGresult *answer, int row, int column)
{
    return strtoll(PQgetvalue(answer, row, column), NULL, 10);
}

static bool begin_day(struct uniques *uniques, PGresult *answer, struct error *err)
{
    if (!answer || PQntuples(answer) == 0)
        return unique_messages_say(uniques, UNIQUES_NOTHING, err, "COMMIT");
    uniques->day = (int32_t)number_of(answer, 0, BEGUN_DAY);
    uniques->version = number_of(answer, 0, BEGUN_VERSION);
    uniques->definition = (int32_t)number_of(answer, 0, BEGUN_DEFINITION);
    uniques->run = number_of(answer, 0, BEGUN_RUN);
    uniques->was_stored = PQgetvalue(answer, 0, BEGUN_WAS_STORED)[0] == 't';
    uniques->is_stored = PQgetvalue(answer, 0, BEGUN_IS_STORED)[0] == 't';
    uniques->is_kept = PQgetisnull(answer, 0, BEGUN_VERSION);
    uniques->changes.is_rowless = uniques->day == DAY_OLD;
    uniques->has_later = uniques->is_stored && PQgetvalue(answer, 0, BEGUN_HAS_LATER)[0] == 't';
    uniques->kind = KEY_SESSION;
    unique_cells_reset(&uniques->cells);
    return begin_kind(uniques, err);
}

static bool begin_kind(struct uniques *uniques, struct error *err)
{
    char date[CLOCK_DAY_BYTES], query[256];
    if (uniques->day == DAY_OLD && uniques->kind == KEY_SESSION)
        return end_kind(uniques, err); /* it has users only */
    clock_format_day(date, uniques->day);
    key_changes_reset(&uniques->changes, uniques->day);
    uniques->first_slot = 0;
    uniques->is_last_part = false;
    if (uniques->was_stored)
        return unique_messages_keys(uniques, err);
    snprintf(query, sizeof query, "SELECT * FROM tallymill.unique_rows('%s', '%s')", unique_messages_kind(uniques->kind), date);
    return unique_messages_open(uniques, UNIQUES_ROWS, false, FETCH_ROWS, err, query);
}

static int rows_of(const PGresult *answer)
{
    return answer ? PQntuples(answer) : 0;
}

static bool take_rows(struct uniques *uniques, const PGresult *answer, struct error *err)
{
    for (int row = 0; row < rows_of(answer); row++)
        if (!unique_cells_add(&uniques->cells, (unsigned)number_of(answer, row, ROW_SUBJECT),
                              (enum population)number_of(answer, row, ROW_POPULATION), uniques->day,
                              (int32_t)number_of(answer, row, ROW_PREVIOUS), -number_of(answer, row, ROW_KEYS)))
            return unique_messages_no_memory(err);
    return rows_of(answer) == FETCH_ROWS ? unique_messages_more(uniques, FETCH_ROWS, err) : unique_messages_keys(uniques, err);
}

/* Takes fetched keys until the part is full at the end of a slot, or none are left. Where the keys are those that are kept, rows
 * without a key say where a part begins. */
static bool gather(struct uniques *uniques, struct error *err)
{
    int last_slot = uniques->row > 0 && uniques->changes.used > 0 ? (int)number_of(uniques->chunk, uniques->row - 1, KEY_SLOT)
                                                                  : uniques->next_slot;
    for (; uniques->row < rows_of(uniques->chunk); uniques->row++) {
        const int slot = (int)number_of(uniques->chunk, uniques->row, KEY_SLOT);
        const bool begins_part = PQgetisnull(uniques->chunk, uniques->row, KEY_TEXT);
        const bool is_full = !uniques->is_kept && uniques->changes.used >= uniques->keys_now && slot != last_slot;
        if (begins_part ? slot > uniques->first_slot : is_full) {
            uniques->next_slot = slot;
            return begin_walk(uniques, err);
        }
        if (begins_part)
            uniques->kept_subjects = (uint64_t)number_of(uniques->chunk, uniques->row, KEY_EXTERNAL);
        else if (!put_row(uniques, slot, err))
            return false;
        last_slot = slot;
    }
    uniques->next_slot = last_slot; /* where the next answer goes on */
    if (rows_of(uniques->chunk) == FETCH_KEYS)
        return unique_messages_say(uniques, UNIQUES_KEYS, err, "FETCH %d FROM keys", FETCH_KEYS);
    uniques->next_slot = KEY_SLOTS;
    uniques->is_last_part = true;
    return begin_walk(uniques, err);
}

static bool put_row(struct uniques *uniques, int slot, struct error *err)
{
    const PGresult *rows = uniques->chunk;
    const int row = uniques->row;
    struct seen_key key = {.slot = (uint8_t)slot,
                           .seen = {(uint64_t)number_of(rows, row, KEY_EXTERNAL), (uint64_t)number_of(rows, row, KEY_INTERNAL)}};
    if (uniques->kind == KEY_SESSION)
        identity_of_text(&uniques->identity, PQgetvalue(rows, row, KEY_TEXT), (size_t)PQgetlength(rows, row, KEY_TEXT), key.key);
    else
        key.key[0] = (uint64_t)number_of(rows, row, KEY_TEXT);
    uniques->keys++;
    if (uniques->changes.used > SLOT_TIMES * uniques->keys_most)
        return error_set(err, ERROR_FATAL, "the day has too many keys for memory.max: more than %zu in a 256th of it",
                         uniques->changes.used);
    return key_changes_put(&uniques->changes, &key, KEY_NOW) || unique_messages_no_memory(err);
}

/* What the keys of this part have met does not fit: the next try has smaller parts. */
static bool no_room(struct uniques *uniques, struct error *err)
{
    const bool is_least = uniques->keys_now == LEAST_KEYS;
    uniques->keys_now = uniques->keys_now / 2 > LEAST_KEYS ? uniques->keys_now / 2 : LEAST_KEYS;
    return is_least ? error_set(err, ERROR_FATAL, "the day's keys were on too many days for memory.max")
                    : unique_messages_no_memory(err);
}

/* A key that the day had before. Where its keys are those that are kept, it has it now as well, unless it is to go. */
static bool put_before(struct uniques *uniques, struct seen_key *key)
{
    if (!uniques->is_kept)
        return key_changes_put(&uniques->changes, key, KEY_BEFORE);
    for (unsigned side = 0; side < SEEN_SIDES; side++)
        key->seen[side] &= uniques->kept_subjects;
    if ((key->seen[SEEN_EXTERNAL] | key->seen[SEEN_INTERNAL]) == 0)
        return true;
    return (key_changes_is_to_go(&uniques->changes, key->key) || key_changes_put(&uniques->changes, key, KEY_NOW)) &&
           key_changes_put(&uniques->changes, key, KEY_BEFORE);
}

/* The keys of one list of another day, or of the day before; meets or puts those of this part. */
static bool take_list(struct uniques *uniques, const PGresult *answer, int row, struct error *err)
{
    struct key_reader reader;
    struct seen_key key;
    if (!key_list_open(&reader, &uniques->bytes, uniques->kind, (const uint8_t *)PQgetvalue(answer, row, LIST_KEYS),
                       (size_t)PQgetlength(answer, row, LIST_KEYS), err))
        return false;
    while (key_list_next(&reader, &key, err)) { /* ends: with the list */
        if (key.slot < uniques->first_slot || key.slot >= uniques->next_slot)
            continue;
        const bool is_taken = uniques->step == UNIQUES_BEFORE
                                  ? put_before(uniques, &key)
                                  : key_changes_meet(&uniques->changes, uniques->walked_day, &key, uniques->has_later);
        if (!is_taken)
            return no_room(uniques, err);
    }
    return err->kind == ERROR_NONE;
}

/* Many at once where the next ones are small together: a long history of small days would be as many questions. */
static bool more_lists(struct uniques *uniques, const PGresult *answer, struct error *err)
{
    const int64_t next_bytes = (int64_t)get_64(PQgetvalue(answer, rows_of(answer) - 1, LIST_NEXT_BYTES));
    uniques->lists = next_bytes <= LISTS_BYTES ? FETCH_LISTS_MOST : FETCH_LISTS;
    return unique_messages_more(uniques, uniques->lists, err);
}

static bool take_before(struct uniques *uniques, const PGresult *answer, struct error *err)
{
    for (int row = 0; row < rows_of(answer); row++)
        if (!take_list(uniques, answer, row, err))
            return false;
    if (rows_of(answer) == uniques->lists)
        return more_lists(uniques, answer, err);
    uniques->step = UNIQUES_IDLE; /* what was before is known */
    return begin_walk(uniques, err);
}

/* Of a month that left: whether nobody of this part is to go. */
static bool is_untouched(const struct uniques *uniques)
{
    return uniques->is_kept && uniques->day != DAY_OLD && uniques->changes.used == 0;
}

/* All keys of the part are there; what it had before is asked for first. What goes because it is too old becomes part of DAY_OLD:
 * the server has made it so in the matrix. */
static bool begin_walk(struct uniques *uniques, struct error *err)
{
    if (uniques->was_stored && uniques->step == UNIQUES_KEYS)
        return is_untouched(uniques)
                   ? end_part(uniques, err)
                   : unique_messages_lists(uniques, UNIQUES_BEFORE, uniques->day == DAY_OLD ? "< " KEPT_FROM " AND k.day >=" : "=",
                                           "", err);
    FAILPOINT("uniques_keys_read");
    key_changes_begin(&uniques->changes);
    uniques->walked_day = DAY_NEVER;
    return key_changes_is_open(&uniques->changes) ? unique_messages_lists(uniques, UNIQUES_BACK, "<", " DESC", err)
                                                  : write_part(uniques, err);
}

static bool take_walk(struct uniques *uniques, const PGresult *answer, struct error *err)
{
    for (int row = 0; row < rows_of(answer) && key_changes_is_open(&uniques->changes); row++) {
        const int32_t day = (int32_t)get_32(PQgetvalue(answer, row, LIST_DAY));
        if (day != uniques->walked_day && !key_changes_pass(&uniques->changes, uniques->walked_day))
            return unique_messages_no_memory(err);
        uniques->walked_day = day;
        if (!take_list(uniques, answer, row, err))
            return false;
    }
    if (rows_of(answer) == uniques->lists && key_changes_is_open(&uniques->changes))
        return more_lists(uniques, answer, err);
    return uniques->step == UNIQUES_BACK ? turn(uniques, err) : write_part(uniques, err);
}

/* From the earlier days to the later ones. */
static bool turn(struct uniques *uniques, struct error *err)
{
    if (!key_changes_pass(&uniques->changes, uniques->walked_day) || !key_changes_turn(&uniques->changes))
        return unique_messages_no_memory(err);
    FAILPOINT("uniques_walked_back");
    if (!uniques->has_later)
        return write_part(uniques, err);
    const char *const later = uniques->day == DAY_OLD ? ">= " KEPT_FROM " AND k.day >" : ">";
    return unique_messages_lists(uniques, UNIQUES_FORTH, later, "", err);
}

static bool write_part(struct uniques *uniques, struct error *err)
{
    size_t count = 0;
    const bool is_left =
        uniques->is_kept && uniques->day != DAY_OLD; /* then a part that changed is written even if it is empty now */
    if (is_left && uniques->changes.change_count == 0)
        return end_part(uniques, err);
    struct seen_key *keys = uniques->is_stored ? key_changes_now(&uniques->changes, &count) : NULL;
    const bool is_written = count > 0 || (is_left && keys);
    bool succeeded =
        !uniques->is_stored || (keys != NULL && (!is_written || key_list_pack(&uniques->bytes, uniques->kind, keys, count, err)));
    free(keys);
    if (!succeeded)
        return err->kind != ERROR_NONE ? false : unique_messages_no_memory(err);
    if (!is_written)
        return end_part(uniques, err);
    char *hex = malloc(2 * uniques->bytes.packed_length + 1), date[CLOCK_DAY_BYTES];
    if (!hex)
        return unique_messages_no_memory(err);
    for (size_t i = 0; i < uniques->bytes.packed_length; i++) {
        hex[2 * i] = "0123456789abcdef"[uniques->bytes.packed[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[uniques->bytes.packed[i] & 15];
    }
    hex[2 * uniques->bytes.packed_length] = '\0';
    clock_format_day(date, uniques->day);
    succeeded = unique_messages_say(
        uniques, UNIQUES_WRITE, err, "SELECT tallymill.write_keys('%s', '%s', %" PRId64 ", %d, %d, decode('%s', 'hex'))", date,
        unique_messages_kind(uniques->kind), uniques->run, uniques->first_slot, uniques->next_slot, hex);
    free(hex);
    return succeeded;
}

static bool has_changes(const struct uniques *uniques)
{
    for (size_t i = 0; i < uniques->cells.capacity; i++)
        if (uniques->cells.cells[i].keys != 0)
            return true;
    return false;
}

static bool end_part(struct uniques *uniques, struct error *err)
{
    key_changes_reset(&uniques->changes, uniques->day);
    uniques->first_slot = uniques->next_slot;
    uniques->step = UNIQUES_KEYS; /* of the next part nothing is known yet */
    const bool is_full = uniques->cells.used > CELLS_MOST || uniques->is_last_part;
    if (is_full && has_changes(uniques))
        return unique_messages_changes(uniques, err);
    return uniques->is_last_part ? end_kind(uniques, err) : gather(uniques, err);
}

static bool end_kind(struct uniques *uniques, struct error *err)
{
    unique_cells_reset(&uniques->cells);
    if (++uniques->kind < KEY_KINDS)
        return begin_kind(uniques, err);
    char date[CLOCK_DAY_BYTES];
    clock_format_day(date, uniques->day);
    FAILPOINT("uniques_before_commit");
    if (uniques->is_kept)
        return unique_messages_say(uniques, UNIQUES_END, err,
                                   "SELECT tallymill.end_kept('%s', %" PRId32 ", %" PRId64 ", %" PRId64 "); COMMIT", date,
                                   uniques->definition, uniques->run, clock_now_us() - uniques->begun_us);
    return unique_messages_say(uniques, UNIQUES_END, err,
                               "SELECT tallymill.end_uniques('%s', %" PRId64 ", %" PRId32 ", %" PRId64 ", %s, %" PRId64 "); COMMIT",
                               date, uniques->version, uniques->definition, uniques->run, uniques->is_stored ? "true" : "false",
                               clock_now_us() - uniques->begun_us);
}

bool uniques_failed(struct uniques *uniques, const struct error *err)
{
    const bool is_day = uniques->step >= UNIQUES_ROWS && uniques->step <= UNIQUES_END;
    const bool is_its_own = is_day && (err->kind != ERROR_RETRY || postgres_is(err, POSTGRES_CANCELLED));
    if (is_its_own) {
        uniques->failed_day = uniques->day;
        uniques->failed_definition = uniques->definition;
        snprintf(uniques->failed_text, sizeof uniques->failed_text, "%s", err->text);
    }
    uniques_stop(uniques);
    return is_its_own;
}
