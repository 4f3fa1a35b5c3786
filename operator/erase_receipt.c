/* erase_receipt.c - see erase.h: what was asked and what went, chained, so that none can be changed or taken away unseen
 * (`tallymill audit` looks).
 *
 * The row is there before anything goes, and what goes is counted in it in the same transactions. So a run that was killed is gone
 * on with, by the next for the same, and its receipt is whole. */
#include "operator/erase.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/array_text.h"
#include "common/postgres.h"
#include "common/postgres_begin.h"
#include "common/utf8.h"
#include "operator/answer.h"
#include "operator/terminal.h"

extern const char erase_begin_sql[], erase_check_sql[], erase_finish_sql[], erase_seal_sql[];

enum { REMARK_BYTES = 700 };

void erase_remark(struct erase_run *run, bool is_incomplete, const char *format, ...)
{
    char text[REMARK_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    utf8_trim(text);
    run->is_complete = run->is_complete && !is_incomplete;
    json_array_append_new(run->remarks, json_string(text));
    fputs("tallymill erase: ", stderr);
    terminal_text(stderr, text);
    fputs(isatty(STDERR_FILENO) ? "\x1b[K\n" : "\n", stderr);
}

bool erase_begin(struct erase_run *run, struct error *err)
{
    const struct passwd *person = getpwuid(getuid());
    const char *const values[] = {run->subject.user_array, run->subject.session_array, person ? person->pw_name : ""};
    struct error rolled = {0};
    PGresult *begun = NULL;
    if (postgres_exec(run->conn, POSTGRES_BEGIN("READ COMMITTED"), ERASE_QUERY_US, err) &&
        postgres_exec(run->conn, "SELECT FROM tallymill.erasure_chain FOR UPDATE", ERASE_QUERY_US,
                      err) && /* one begins after the other */
        (begun = postgres_query_params(run->conn, erase_begin_sql, 3, values, ERASE_QUERY_US, err)) != NULL &&
        postgres_exec(run->conn, "COMMIT", ERASE_QUERY_US, err)) {
        run->erasure = answer_int(begun, 0, "erasure");
    } else if (PQtransactionStatus(run->conn) != PQTRANS_IDLE) {
        error_ignore(postgres_exec(run->conn, "ROLLBACK", ERASE_QUERY_US, &rolled));
    }
    PQclear(begun);
    return run->erasure > 0;
}

/* In the transaction that is open. */
static bool write_receipt(struct erase_run *run, const char *remarks, json_t **receipt, struct error *err)
{
    char erasure[24], keeps[24];
    json_error_t fault;
    snprintf(erasure, sizeof erasure, "%" PRId64, run->erasure);
    snprintf(keeps, sizeof keeps, "%" PRId64, run->kafka_keeps_s);
    const char *const values[] = {erasure, run->is_complete ? "t" : "f", remarks, run->kafka_keeps_s < 0 ? NULL : keeps};
    PGresult *finished = NULL, *sealed = NULL;
    const bool is_written =
        postgres_exec(run->conn, "SELECT FROM tallymill.erasure_chain FOR UPDATE", ERASE_QUERY_US, err) &&
        (finished = postgres_query_params(run->conn, erase_finish_sql, 4, values, ERASE_QUERY_US, err)) != NULL &&
        (PQntuples(finished) == 1 ||
         error_set(err, ERROR_FATAL, "erasure %s is gone from tallymill.erasures, or was ended by another run", erasure)) &&
        (sealed = postgres_query_params(run->conn, erase_seal_sql, 1, values, ERASE_QUERY_US, err)) != NULL;
    *receipt = is_written && PQntuples(sealed) == 1 ? json_loads(answer_text(sealed, 0, "receipt"), 0, &fault) : NULL;
    PQclear(finished);
    PQclear(sealed);
    return *receipt || (err->kind == ERROR_NONE
                            ? error_set(err, ERROR_FATAL, "erasure %s has no receipt: it is gone from tallymill.erasures", erasure)
                            : false);
}

bool erase_end(struct erase_run *run, json_t **receipt, struct error *err)
{
    struct array_text texts = {0};
    size_t index;
    json_t *remark;
    array_text_begin(&texts);
    json_array_foreach(run->remarks, index, remark) {
        array_text_add(&texts, json_string_value(remark), json_string_length(remark));
    }
    const char *remarks = array_text_end(&texts);
    struct error rolled = {0};
    const bool is_written = (remarks || error_set(err, ERROR_RETRY, "out of memory")) &&
                            postgres_exec(run->conn, POSTGRES_BEGIN("READ COMMITTED"), ERASE_QUERY_US, err) &&
                            write_receipt(run, remarks, receipt, err) && postgres_exec(run->conn, "COMMIT", ERASE_QUERY_US, err);
    if (!is_written && PQtransactionStatus(run->conn) != PQTRANS_IDLE) {
        error_ignore(postgres_exec(run->conn, "ROLLBACK", ERASE_QUERY_US, &rolled));
    }
    array_text_free(&texts);
    return is_written;
}

bool erase_receipt_check(struct erase_run *run, const json_t *receipt, struct error *err)
{
    char *text = json_is_string(json_object_get(receipt, "hash")) ? json_dumps(receipt, JSON_COMPACT) : NULL;
    const char *const values[] = {text};
    if (!json_is_string(json_object_get(receipt, "hash"))) {
        return error_set(err, ERROR_USAGE, "this is no receipt: it has no hash");
    }
    if (!text) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    PGresult *checked = postgres_query_params(run->conn, erase_check_sql, 1, values, ERASE_QUERY_US, err);
    const bool is_whole = checked && answer_bool(checked, 0, "is_whole");
    if (checked && !is_whole) {
        error_set(err, ERROR_USAGE,
                  "its SHA-256 is not of what it says, so it was changed: take it from another copy, or name those whom it is "
                  "about by --user and --session");
    } else if (!checked && err->kind == ERROR_REJECT) { /* a value that is not of its column's type */
        err->kind = ERROR_USAGE;
        error_wrap(err, "this is no receipt");
    }
    PQclear(checked);
    free(text);
    return is_whole;
}
