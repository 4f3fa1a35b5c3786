/* dlq_discard.c - see dlq.h.
 *
 * The row stays: it is the outcome of an offset, and the audit counts it. What goes are key and value, as with dead letters that
 * grow too old (dead_letters.keep), and so it is kept in the same column: emptied_at. Deleting the row was rejected: the books
 * would have a hole.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/number_text.h"
#include "common/postgres.h"
#include "operator/answer.h"
#include "operator/dlq.h"
#include "operator/dlq_places.h"
#include "operator/place.h"
#include "operator/terminal.h"

extern const char dlq_places_sql[], dlq_discard_sql[];

static bool read_places(char **words, int count, struct dlq_places *places, struct error *err)
{
    if (count == 0) {
        return error_set(err, ERROR_USAGE, "which ones? tallymill dlq discard TOPIC_PARTITION:OFFSET ... --yes");
    }
    for (int i = 0; i < count; i++) {
        struct place place;
        if (!place_parse(words[i], &place) || place.is_end || place.offset[0] == '\0') {
            return error_set(err, ERROR_USAGE, "%s: a place is TOPIC_PARTITION:OFFSET here, both numbers", words[i]);
        }
        dlq_places_add(places, place.topic_partition, place.offset);
    }
    return dlq_places_end(places, err);
}

/* What the places hold, and that there is a dead letter at each. */
static PGresult *look(PGconn *conn, const char *topic, const struct dlq_places *places, int64_t *bytes, struct error *err)
{
    const char *values[] = {topic, places->topic_partitions.bytes, places->offsets.bytes};
    PGresult *found = postgres_query_params(conn, dlq_places_sql, 3, values, DLQ_QUERY_US, err);
    *bytes = 0;
    for (int row = 0; found && row < PQntuples(found); row++) {
        *bytes += answer_int(found, row, "bytes");
        if (answer_is_null(found, row, "reason")) {
            error_set(err, ERROR_USAGE, "topic %s has no dead letter at %s:%s; nothing was changed", topic,
                      answer_text(found, row, "topic_partition"), answer_text(found, row, "kafka_offset"));
            PQclear(found);
            return NULL;
        }
    }
    return found;
}

static void print_done(const PGresult *found)
{
    char number[NUMBER_TEXT_BYTES];
    for (int row = 0; row < PQntuples(found); row++) {
        printf("%s:%s (", answer_text(found, row, "topic_partition"), answer_text(found, row, "kafka_offset"));
        terminal_text(stdout, answer_text(found, row, "reason"));
        if (answer_bool(found, row, "is_emptied")) {
            puts("): its bytes were gone before");
        } else {
            printf("): %s bytes are gone for good; place and reason stay\n", number_text(number, answer_int(found, row, "bytes")));
        }
    }
}

bool dlq_discard(PGconn *conn, const char *topic, char **words, int count, bool is_confirmed, bool as_json, struct error *err)
{
    struct dlq_places places;
    PGresult *found = NULL, *done = NULL;
    int64_t bytes = 0;
    char number[NUMBER_TEXT_BYTES];
    dlq_places_init(&places);
    if (read_places(words, count, &places, err) && (found = look(conn, topic, &places, &bytes, err)) != NULL) {
        const char *values[] = {topic, places.topic_partitions.bytes, places.offsets.bytes};
        if (!is_confirmed) {
            error_set(err, ERROR_USAGE,
                      "%s bytes of %d dead letters would be gone, and could never be sent again; add --yes if that is meant",
                      number_text(number, bytes), PQntuples(found));
        } else {
            done = postgres_query_params(conn, dlq_discard_sql, 3, values, DLQ_QUERY_US, err);
        }
    }
    if (done && as_json) {
        printf("{\"discarded\": %s}\n", PQgetvalue(done, 0, 0));
    } else if (done) {
        print_done(found);
    }
    const bool is_done = done != NULL;
    PQclear(done);
    PQclear(found);
    dlq_places_reset(&places);
    return is_done;
}
