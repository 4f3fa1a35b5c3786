/* ledger.c - see ledger.h.
 *
 * The commit statement is text with literals, not parameters: "SELECT ...; COMMIT" must be one message, so that the server runs
 * COMMIT the moment the fence has passed and a worker that freezes in between cannot hold its locks; messages with parameters carry
 * one statement each. All that goes into the text is numbers, hex digits and a topic's name, whose letters Kafka limits. No
 * backslash does, and no NULL within quotes: a trigger on the events may have set standard_conforming_strings or array_nulls for
 * the rest of the transaction.
 */
#include "consumer/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/oid.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/tuple.h"

#define TELL_TIMEOUT_US (2 * CLOCK_SECOND_US) /* what is told is not worth a batch's time */

static void write_array(FILE *out, const struct batch *batch, int64_t (*value)(const struct batch_range *), const char *type)
{
    fputs(", '{", out);
    for (int i = 0; i < batch->range_count; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", value(&batch->ranges[i]));
    fprintf(out, "}'::%s[]", type);
}

static int64_t range_topic_partition(const struct batch_range *range)
{
    return range->topic_partition;
}

static int64_t range_epoch(const struct batch_range *range)
{
    return range->epoch;
}

static int64_t range_first(const struct batch_range *range)
{
    return range->first_offset;
}

static int64_t range_next(const struct batch_range *range)
{
    return range->next_offset;
}

static int64_t range_dead(const struct batch_range *range)
{
    return range->dead_letters;
}

static int64_t range_skipped(const struct batch_range *range)
{
    return range->skipped;
}

static void write_days(FILE *out, const struct batch *batch)
{
    fputs(", '{", out);
    for (int i = 0; i < batch->range_count; i++) {
        const struct batch_range *range = &batch->ranges[i];
        fputs(i ? ",\"{" : "\"{", out);
        for (int day = 0; day < range->day_count; day++) {
            char text[CLOCK_DAY_BYTES];
            clock_format_day(text, range->days[day]);
            fprintf(out, "%s%s", day ? "," : "", text);
        }
        fputs("}\"", out);
    }
    fputs("}'::text[]", out);
}

static void write_anchors(FILE *out, const struct batch *batch)
{
    fputs(", ARRAY[", out);
    for (int i = 0; i < batch->range_count; i++) {
        if (batch->ranges[i].anchor_offset < 0)
            fprintf(out, "%sNULL", i ? "," : "");
        else
            fprintf(out, "%s%" PRId64, i ? "," : "", batch->ranges[i].anchor_offset);
    }
    fputs("]::bigint[], ARRAY[", out);
    for (int i = 0; i < batch->range_count; i++) {
        const struct batch_range *range = &batch->ranges[i];
        fputs(i ? "," : "", out);
        if (range->anchor_offset < 0) {
            fputs("NULL", out);
            continue;
        }
        fputs("pg_catalog.decode('", out);
        for (int byte = 0; byte < ANCHOR_HASH_BYTES; byte++)
            fprintf(out, "%02x", range->anchor_hash[byte]);
        fputs("', 'hex')", out);
    }
    fputs("]::pg_catalog.bytea[]", out);
}

char *ledger_commit_sql(const char *topic, int64_t batch_id, const struct batch *batch)
{
    char *sql = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&sql, &length);
    if (!out)
        return NULL;
    fprintf(out, "SELECT tallymill.commit_batch(%" PRId64 ", '%s'", batch_id, topic);
    write_array(out, batch, range_topic_partition, "integer");
    write_array(out, batch, range_epoch, "bigint");
    write_array(out, batch, range_first, "bigint");
    write_array(out, batch, range_next, "bigint");
    write_array(out, batch, batch_range_stored, "bigint");
    write_array(out, batch, batch_range_duplicates, "bigint");
    write_array(out, batch, range_dead, "bigint");
    write_array(out, batch, range_skipped, "bigint");
    write_days(out, batch);
    write_anchors(out, batch);
    /* Another id is drawn: from now on this session can write no delta of the batch (add_delta.sql). */
    fputs("), pg_catalog.nextval('tallymill.batch_ids'::pg_catalog.regclass); COMMIT", out);
    if (fclose(out) != 0) {
        free(sql);
        return NULL;
    }
    return sql;
}

static void read_hash(uint8_t hash[ANCHOR_HASH_BYTES], const char *hex)
{
    for (int byte = 0; byte < ANCHOR_HASH_BYTES; byte++) {
        unsigned value = 0;
        sscanf(hex + 2 + byte * 2, "%2x", &value);
        hash[byte] = (uint8_t)value;
    }
}

static void read_claim(struct claim *claim, const PGresult *result, int row)
{
    claim->topic_partition = (int32_t)strtol(PQgetvalue(result, row, 0), NULL, 10);
    claim->epoch = strtoll(PQgetvalue(result, row, 1), NULL, 10);
    claim->next_offset = strtoll(PQgetvalue(result, row, 2), NULL, 10);
    claim->anchor_offset = strtoll(PQgetvalue(result, row, 3), NULL, 10);
    if (PQgetlength(result, row, 4) == 2 + 2 * ANCHOR_HASH_BYTES)
        read_hash(claim->anchor_hash, PQgetvalue(result, row, 4));
    else
        claim->anchor_offset = -1;
    claim->is_proven = strcmp(PQgetvalue(result, row, 5), "t") == 0;
}

/* READ COMMITTED is stated: in another level the function would read with the snapshot from before it waited. NULL: err, and
 * nothing is claimed as far as is known. */
static PGresult *claim_all(PGconn *conn, const struct claimant *claimant, const char *topic_partitions, struct error *err)
{
    static const char claim_sql[] =
        "SELECT topic_partition, epoch, next_offset, coalesce(anchor_offset, -1), anchor_hash, is_proven "
        "FROM tallymill.claim($1, $2, $3, $4, $5, $6::integer[])";
    const char *values[] = {claimant->topic, claimant->topic_id, claimant->cluster_id,
                            claimant->group, claimant->owner,    topic_partitions};
    if (!postgres_exec(conn, POSTGRES_BEGIN("READ COMMITTED"), LEDGER_TIMEOUT_US, err))
        return NULL;
    PGresult *result = postgres_query_params(conn, claim_sql, 6, values, LEDGER_TIMEOUT_US, err);
    if (!result) {
        struct error ignored;
        error_ignore(postgres_exec(conn, "ROLLBACK", LEDGER_TIMEOUT_US, &ignored));
    } else if (!postgres_exec(conn, "COMMIT", LEDGER_TIMEOUT_US, err)) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

bool ledger_claim(PGconn *conn, const struct claimant *claimant, struct claim *claims, int count, struct error *err)
{
    struct array_text wanted = {0};
    array_text_begin(&wanted);
    for (int i = 0; i < count; i++)
        array_text_add_int64(&wanted, claims[i].topic_partition);
    const char *topic_partitions = array_text_end(&wanted);
    PGresult *result = topic_partitions ? claim_all(conn, claimant, topic_partitions, err) : NULL;
    const bool is_done = result && PQntuples(result) == count;
    if (!topic_partitions)
        error_set(err, ERROR_RETRY, "no memory for a claim");
    else if (result && !is_done)
        error_set(err, ERROR_FATAL, "claimed %d topic partitions, the ledger answered for %d: this is a bug, nothing is read",
                  count, PQntuples(result));
    for (int i = 0; is_done && i < count; i++)
        read_claim(&claims[i], result, i);
    PQclear(result);
    array_text_free(&wanted);
    return is_done;
}

bool ledger_older_anchors(PGconn *conn, const char *topic, int32_t topic_partition, int64_t low, struct anchor *anchors, int room,
                          int *count, struct error *err)
{
    static const char sql[] = "SELECT anchor_offset, anchor_hash FROM tallymill.older_anchors($1, ARRAY[$2::integer], "
                              "ARRAY[$3::bigint], $4) ORDER BY anchor_offset";
    char number[16], first[24], limit[16];
    snprintf(number, sizeof number, "%" PRId32, topic_partition);
    snprintf(first, sizeof first, "%" PRId64, low);
    snprintf(limit, sizeof limit, "%d", room);
    const char *values[] = {topic, number, first, limit};
    PGresult *result = postgres_query_params(conn, sql, 4, values, LEDGER_TIMEOUT_US, err);
    *count = 0;
    for (int i = 0; result && i < PQntuples(result) && *count < room; i++) {
        if (PQgetlength(result, i, 1) != 2 + 2 * ANCHOR_HASH_BYTES)
            continue;
        anchors[*count].offset = strtoll(PQgetvalue(result, i, 0), NULL, 10);
        read_hash(anchors[(*count)++].hash, PQgetvalue(result, i, 1));
    }
    PQclear(result);
    return result != NULL;
}

bool ledger_name_topic(PGconn *conn, const char *topic, const char *topic_id, struct error *err)
{
    const char *values[] = {topic, topic_id};
    PGresult *result = postgres_query_params(conn, "SELECT tallymill.name_topic($1, $2)", 2, values, LEDGER_TIMEOUT_US, err);
    PQclear(result);
    return result != NULL;
}

bool ledger_record_gap(PGconn *conn, const char *topic, const struct claim *claim, int64_t next_offset, const char *reason,
                       struct error *err)
{
    char number[16], epoch[24], next[24];
    snprintf(number, sizeof number, "%" PRId32, claim->topic_partition);
    snprintf(epoch, sizeof epoch, "%" PRId64, claim->epoch);
    snprintf(next, sizeof next, "%" PRId64, next_offset);
    const char *values[] = {topic, number, epoch, next, reason};
    PGresult *result =
        postgres_query_params(conn, "SELECT tallymill.record_gap($1, $2, $3, $4, $5)", 5, values, LEDGER_TIMEOUT_US, err);
    PQclear(result);
    return result != NULL;
}

bool ledger_tell_trouble(PGconn *conn, const char *topic, const char *owner, const char *sqlstate, const char *reason,
                         struct error *err)
{
    const char *values[] = {topic, owner, sqlstate, reason};
    PGresult *result =
        postgres_query_params(conn, "SELECT tallymill.tell_trouble($1, $2, $3, $4)", 4, values, TELL_TIMEOUT_US, err);
    PQclear(result);
    return result != NULL;
}

bool ledger_positions(PGconn *conn, const char *topic, int64_t *positions, int count, struct error *err)
{
    const char *values[] = {topic};
    memset(positions, 0, (size_t)count * sizeof *positions);
    PGresult *result = postgres_query_params(conn, "SELECT topic_partition, next_offset FROM tallymill.positions WHERE topic = $1",
                                             1, values, LEDGER_TIMEOUT_US, err);
    if (!result)
        return false;
    for (int i = 0; i < PQntuples(result); i++) {
        const long topic_partition = strtol(PQgetvalue(result, i, 0), NULL, 10);
        if (topic_partition >= 0 && topic_partition < count)
            positions[topic_partition] = strtoll(PQgetvalue(result, i, 1), NULL, 10);
    }
    PQclear(result);
    return true;
}

bool ledger_send_delta(PGconn *conn, int64_t batch_id, const uint8_t *delta, size_t length)
{
    enum { BINARY = 1 };
    static const Oid types[] = {OID_INT8, OID_BYTEA};
    static const int formats[] = {BINARY, BINARY};
    uint8_t id[8];
    put_64(id, (uint64_t)batch_id);
    const char *const values[] = {(const char *)id, (const char *)delta};
    const int lengths[] = {sizeof id, (int)length};
    return PQsendQueryParams(conn, "SELECT tallymill.add_delta($1, $2)", 2, types, values, lengths, formats, BINARY) == 1;
}
