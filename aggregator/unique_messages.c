/* unique_messages.c - see uniques.h. What is quoted in them are numbers, dates and texts of the program's own. */
#include "aggregator/uniques.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/postgres_begin.h"

static const char *const kind_names[KEY_KINDS] = {"session", "user"};

const char *unique_messages_kind(enum key_kind kind)
{
    return kind_names[kind];
}

bool unique_messages_no_memory(struct error *err)
{
    return error_set(err, ERROR_RETRY, "no memory for the keys of a day");
}

bool unique_messages_say(struct uniques *uniques, enum uniques_step step, struct error *err, const char *format, ...)
{
    va_list arguments;
    free(uniques->sql);
    uniques->sql = NULL;
    va_start(arguments, format);
    const int length = vasprintf(&uniques->sql, format, arguments);
    va_end(arguments);
    if (length < 0) {
        uniques->sql = NULL;
        return unique_messages_no_memory(err);
    }
    uniques->step = step;
    return true;
}

bool unique_messages_begin(struct uniques *uniques, struct error *err)
{
    const char *quote = uniques->since ? "'" : "";
    return unique_messages_say(
        uniques, UNIQUES_BEGIN, err,
        POSTGRES_BEGIN("REPEATABLE READ") "; SET LOCAL statement_timeout = %" PRId64
                                          "; SET LOCAL idle_in_transaction_session_timeout = '60s'; "
                                          "SET LOCAL client_connection_check_interval = '1s'; SET LOCAL jit = off; SET LOCAL "
                                          "max_parallel_workers_per_gather = 0; "
                                          "SET LOCAL synchronous_commit = off; SELECT * FROM tallymill.begin_uniques(%" PRId64
                                          ", '%" PRId64 " days', %s%s%s)",
        uniques->timeout_us / 1000, uniques->epoch, uniques->keep_us / CLOCK_DAY_US, quote,
        uniques->since ? uniques->since : "NULL", quote);
}

/* What failed is text of the server's: as hexadecimal digits there is nothing in it to quote. */
bool unique_messages_failure(struct uniques *uniques, struct error *err)
{
    char date[CLOCK_DAY_BYTES], hex[2 * ERROR_TEXT_BYTES] = "";
    clock_format_day(date, uniques->failed_day);
    for (size_t i = 0; uniques->failed_text[i] != '\0'; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)uniques->failed_text[i]);
    return unique_messages_say(uniques, UNIQUES_NOTE, err,
                               POSTGRES_BEGIN("READ COMMITTED") "; SELECT tallymill.fail_uniques('%s', %" PRId32
                                                                ", convert_from(decode('%s', 'hex'), 'UTF8')); COMMIT",
                               date, uniques->failed_definition, hex);
}

/* The rows of a query by a cursor (one at a time, beside that of the keys), in the form that the server has them in where
 * is_binary. */
bool unique_messages_open(struct uniques *uniques, enum uniques_step step, bool is_binary, int rows, struct error *err,
                          const char *query)
{
    const bool was_open = uniques->has_others_cursor;
    uniques->has_others_cursor = true;
    return unique_messages_say(uniques, step, err, "%sDECLARE others NO SCROLL %sCURSOR FOR %s; FETCH %d FROM others",
                               was_open ? "CLOSE others; " : "", is_binary ? "BINARY " : "", query, rows);
}

bool unique_messages_more(struct uniques *uniques, int rows, struct error *err)
{
    return unique_messages_say(uniques, uniques->step, err, "FETCH %d FROM others", rows);
}

bool unique_messages_keys(struct uniques *uniques, struct error *err)
{
    char date[CLOCK_DAY_BYTES];
    clock_format_day(date, uniques->day);
    char query[160];
    const bool was_open = uniques->has_keys_cursor;
    uniques->has_keys_cursor = true;
    if (uniques->is_kept)
        snprintf(query, sizeof query, "kept_keys('%s', '%s', %zu)", unique_messages_kind(uniques->kind), date, uniques->keys_now);
    else
        snprintf(query, sizeof query, "unique_keys('%s', '%s')", unique_messages_kind(uniques->kind), date);
    return unique_messages_say(uniques, UNIQUES_KEYS, err,
                               "%sDECLARE keys NO SCROLL CURSOR FOR SELECT * FROM tallymill.%s; FETCH %d FROM keys",
                               was_open ? "CLOSE keys; " : "", query, FETCH_KEYS);
}

bool unique_messages_lists(struct uniques *uniques, enum uniques_step step, const char *comparison, const char *order,
                           struct error *err)
{
    char date[CLOCK_DAY_BYTES], query[768];
    clock_format_day(date, uniques->day);
    snprintf(query, sizeof query,
             "SELECT k.day - date '1970-01-01', k.keys, coalesce(sum(octet_length(k.keys)) OVER (ORDER BY k.day%s ROWS BETWEEN 1 "
             "FOLLOWING AND %d FOLLOWING), 0) FROM tallymill.day_keys k WHERE k.kind = '%s' AND k.day %s date '%s' AND k.run <> "
             "%" PRId64 " AND k.part < %d AND k.next_part > %d ORDER BY k.day%s",
             order, FETCH_LISTS_MOST, unique_messages_kind(uniques->kind), comparison, date, uniques->run, uniques->next_slot,
             uniques->first_slot, order);
    uniques->lists = FETCH_LISTS;
    return unique_messages_open(uniques, step, true, FETCH_LISTS, err, query);
}

/* The changes of the matrix so far. */
bool unique_messages_changes(struct uniques *uniques, struct error *err)
{
    enum { SUBJECT, POPULATION, DAY, PREVIOUS, KEYS, COLUMNS };
    struct array_text columns[COLUMNS] = {0};
    const char *texts[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        array_text_begin(&columns[i]);
    for (size_t i = 0; i < uniques->cells.capacity; i++) {
        const struct unique_cell *cell = &uniques->cells.cells[i];
        if (cell->keys == 0)
            continue;
        array_text_add_int64(&columns[SUBJECT], cell->subject);
        array_text_add_int64(&columns[POPULATION], cell->population);
        array_text_add_int64(&columns[DAY], cell->day);
        array_text_add_int64(&columns[PREVIOUS], cell->previous);
        array_text_add_int64(&columns[KEYS], cell->keys);
    }
    bool succeeded = true;
    for (int i = 0; i < COLUMNS; i++)
        succeeded = (texts[i] = array_text_end(&columns[i])) != NULL && succeeded;
    succeeded = succeeded ? unique_messages_say(uniques, UNIQUES_CHANGE, err,
                                                "SELECT tallymill.change_uniques('%s', '%s', '%s', '%s', '%s', '%s')",
                                                unique_messages_kind(uniques->kind), texts[SUBJECT], texts[POPULATION], texts[DAY],
                                                texts[PREVIOUS], texts[KEYS])
                          : unique_messages_no_memory(err);
    for (int i = 0; i < COLUMNS; i++)
        array_text_free(&columns[i]);
    return succeeded;
}
