/* dlq_list.c - `tallymill dlq list`: how many, one of each reason with what it holds, the newest.
 *
 * What a dead letter holds may be personal: its detail, key and bytes are read by a question of its own, which a login with
 * tallymill_read is refused; the list then goes without. The session is looked for in the bytes, as far as they can be read: a bad
 * event mostly names it all the same.
 */
#include "operator/dlq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/postgres.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/packed.h"
#include "operator/place.h"
#include "operator/table.h"

enum { SHOWN_BYTES = 120 };

extern const char dlq_closed_sql[], dlq_counts_sql[], dlq_list_sql[], dlq_examples_sql[], dlq_keyed_sql[];

/* count: how many of the parameters the query has. */
static PGresult *ask(PGconn *conn, const struct dlq_choice *choice, const char *sql, int limit, int count, struct error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%d", limit);
    const char *values[] = {
        choice->topic, choice->reason, choice->topic_partition, choice->offset, choice->with_replayed ? "t" : "f", choice->since,
        number,        choice->key};
    return postgres_query_params(conn, sql, count, values, DLQ_QUERY_US, err);
}

enum { COUNT_PARAMETERS = 6, LIST_PARAMETERS = 7, KEYED_PARAMETERS = 8 };

static void print_table(const PGresult *result, const char *sides, const char *const *heads)
{
    struct table *table = table_new(sides, heads);
    for (int row = 0; row < PQntuples(result); row++) {
        const char *cells[TABLE_COLUMNS_MAX] = {NULL};
        for (int column = 0; column < PQnfields(result); column++) {
            cells[column] = PQgetisnull(result, row, column) ? "" : PQgetvalue(result, row, column);
        }
        table_add(table, cells);
    }
    table_print(table, "", stdout);
    table_free(table);
}

/* Those in closed books are nobody's daily list, and would be forgotten. */
static void print_closed(const PGresult *closed)
{
    for (int row = 0; row < PQntuples(closed); row++) {
        printf("\nin the closed books of topic %s %s more: tallymill dlq --topic %s, tallymill dlq replay --topic %s\n",
               PQgetvalue(closed, row, 0), PQgetvalue(closed, row, 1), PQgetvalue(closed, row, 0), PQgetvalue(closed, row, 0));
    }
}

/* The bytes of a column as text where they are one, else in hexadecimal digits as Postgres writes them; "" for NULL. Cut where it
 * is long. */
static const char *key_text(const PGresult *letters, int row, char text[SHOWN_BYTES])
{
    const char *written = answer_text(letters, row, "message_key");
    size_t length = 0;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)written, &length);
    bool is_text = bytes != NULL && memchr(bytes, 0, length) == NULL;
    for (size_t at = 0; is_text && at < length;) {
        const size_t character = utf8_character(bytes + at, length - at);
        is_text = character > 0;
        at += character;
    }
    if (is_text) { /* libpq ends what it unescapes with no NUL */
        const size_t shown = length < SHOWN_BYTES ? length : SHOWN_BYTES - 1;
        memcpy(text, bytes, shown);
        text[shown] = '\0';
        utf8_trim(text);
    } else {
        utf8_copy(text, SHOWN_BYTES, written);
    }
    PQfreemem(bytes);
    return text;
}

static const char *session_text(const PGresult *letters, int row, char text[SHOWN_BYTES])
{
    size_t length = 0;
    unsigned char *bytes = PQunescapeBytea((const unsigned char *)answer_text(letters, row, "message_value"), &length);
    text[0] = '\0';
    if (bytes) {
        packed_text_of(bytes, length, "session_id", text, SHOWN_BYTES);
    }
    PQfreemem(bytes);
    return text;
}

/* Dead letters with what they hold. */
static void print_letters(const PGresult *letters)
{
    static const char *const heads[] = {"reason", "place", "dead since", "key", "session", "detail"};
    struct table *table = table_new("lrllll", heads);
    for (int row = 0; row < PQntuples(letters); row++) {
        char place[48], key[SHOWN_BYTES], session[SHOWN_BYTES];
        snprintf(place, sizeof place, "%s:%s", answer_text(letters, row, "topic_partition"),
                 answer_text(letters, row, "kafka_offset"));
        const char *const cells[] = {answer_text(letters, row, "reason"),  place,
                                     answer_text(letters, row, "dead_at"), key_text(letters, row, key),
                                     session_text(letters, row, session),  answer_text(letters, row, "detail")};
        table_add(table, cells);
    }
    table_print(table, "", stdout);
    table_free(table);
}

/* null for "", and for what JSON cannot say. */
static json_t *text_json(const char *text)
{
    json_t *json = text[0] ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *letters_json(const PGresult *letters)
{
    json_t *array = answer_array(letters);
    for (size_t i = 0; i < json_array_size(array); i++) {
        char key[SHOWN_BYTES], session[SHOWN_BYTES];
        json_t *letter = json_array_get(array, i);
        json_object_del(letter, "message_key");
        json_object_del(letter, "message_value");
        json_object_set_new(letter, "key", text_json(key_text(letters, (int)i, key)));
        json_object_set_new(letter, "session_id", text_json(session_text(letters, (int)i, session)));
    }
    return array;
}

/* All that was asked. */
struct listed {
    PGresult *counts, *examples, *newest, *closed;
};

static bool ask_all(PGconn *conn, const struct dlq_choice *choice, int limit, struct listed *listed, struct error *err)
{
    struct error refused = {0};
    const char *values[] = {choice->topic};
    listed->examples = ask(conn, choice, dlq_examples_sql, limit, COUNT_PARAMETERS, &refused);
    if (!listed->examples && !postgres_is(&refused, POSTGRES_NO_RIGHT)) {
        *err = refused;
        return false;
    }
    return (listed->counts = ask(conn, choice, dlq_counts_sql, limit, COUNT_PARAMETERS, err)) != NULL &&
           (listed->newest = ask(conn, choice, dlq_list_sql, limit, LIST_PARAMETERS, err)) != NULL &&
           (listed->closed = postgres_query_params(conn, dlq_closed_sql, 1, values, DLQ_QUERY_US, err)) != NULL;
}

static void print_all(const struct dlq_choice *choice, int limit, const struct listed *listed)
{
    static const char *const count_heads[] = {"reason", "dead letters", "replayed", "emptied", "first", "last"};
    static const char *const list_heads[] = {"topic partition", "offset", "reason", "dead since", "replayed", "emptied"};
    if (PQntuples(listed->counts) == 0) {
        printf("topic %s has no dead letters%s\n", choice->topic,
               choice->since           ? " since then"
               : choice->with_replayed ? ""
                                       : " that wait (--replayed shows those sent again, and those whose bytes were dropped)");
    } else {
        print_table(listed->counts, "lrrrll", count_heads);
        puts(listed->examples ? "\nthe newest of each reason:"
                              : "\n(a login with tallymill_admin sees one of each reason, with what it holds)");
        if (listed->examples) {
            print_letters(listed->examples);
        }
        PQntuples(listed->newest) == limit ? printf("\nthe newest %d:\n", limit) : puts("\nthe newest:");
        print_table(listed->newest, "rrllll", list_heads);
        printf(
            "\ntallymill dlq show --at TOPIC_PARTITION:OFFSET shows one with its bytes; tallymill dlq replay sends them again\n");
    }
    print_closed(listed->closed);
}

/* Those of one key. */
static bool list_keyed(PGconn *conn, const struct dlq_choice *choice, int limit, bool as_json, struct error *err)
{
    PGresult *letters = ask(conn, choice, dlq_keyed_sql, limit, KEYED_PARAMETERS, err);
    if (!letters) {
        return postgres_is(err, POSTGRES_NO_RIGHT) ? error_wrap(err, "--key needs tallymill_admin") : false;
    }
    if (as_json) {
        json_t *answer = json_pack("{s:o}", "newest", letters_json(letters));
        answer_print(answer);
        json_decref(answer);
    } else if (PQntuples(letters) == 0) {
        printf("topic %s has no dead letters of this key\n", choice->topic);
    } else {
        print_letters(letters);
    }
    PQclear(letters);
    return true;
}

bool dlq_newest(PGconn *conn, const struct dlq_choice *choice, struct place *place, bool *is_there, struct error *err)
{
    PGresult *newest =
        ask(conn, choice, choice->key ? dlq_keyed_sql : dlq_list_sql, 1, choice->key ? KEYED_PARAMETERS : LIST_PARAMETERS, err);
    *is_there = newest && PQntuples(newest) == 1;
    if (*is_there) {
        snprintf(place->topic_partition, sizeof place->topic_partition, "%s", answer_text(newest, 0, "topic_partition"));
        snprintf(place->offset, sizeof place->offset, "%s", answer_text(newest, 0, "kafka_offset"));
    }
    PQclear(newest);
    return newest != NULL;
}

bool dlq_list(PGconn *conn, const struct dlq_choice *choice, int limit, bool as_json, struct error *err)
{
    struct listed listed = {0};
    if (choice->key) {
        return list_keyed(conn, choice, limit, as_json, err);
    }
    const bool is_read = ask_all(conn, choice, limit, &listed, err);
    if (is_read && as_json) {
        json_t *answer = json_pack("{s:o, s:o, s:o, s:o}", "reasons", answer_array(listed.counts), "examples",
                                   listed.examples ? letters_json(listed.examples) : json_null(), "newest",
                                   answer_array(listed.newest), "closed", answer_array(listed.closed));
        answer_print(answer);
        json_decref(answer);
    } else if (is_read) {
        print_all(choice, limit, &listed);
    }
    PQclear(listed.counts);
    PQclear(listed.examples);
    PQclear(listed.newest);
    PQclear(listed.closed);
    return is_read;
}
