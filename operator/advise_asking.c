/* advise_asking.c - see advise_asking.h. */
#include "operator/advise_asking.h"

#include <stdio.h>

#include "common/postgres_error.h"
#include "operator/snapshot.h"

static void note(struct asking *asking, const char *what, const struct error *err)
{
    json_array_append_new(asking->notes, json_sprintf("%s: %s", what, err->text));
}

static bool order(struct asking *asking, const char *sql, struct error *err)
{
    PGresult *result = snapshot_ask(asking->snapshot, sql, err);
    PQclear(result);
    return result != NULL;
}

PGresult *asking_try(struct asking *asking, const char *what, const char *sql, const char *names, int seconds, struct error *err)
{
    char limit[512];
    struct error failed = {0};
    snprintf(limit, sizeof limit,
             "SELECT set_config('statement_timeout', '%ds', true), set_config('search_path', '%s, pg_temp', true)", seconds,
             names ? names : "pg_catalog");
    if (!snapshot_mark(asking->snapshot, err)) {
        return NULL;
    }
    PGresult *result = order(asking, limit, &failed) ? snapshot_ask(asking->snapshot, sql, &failed) : NULL;
    if (!snapshot_back(asking->snapshot)) {
        PQclear(result);
        error_set(err, ERROR_RETRY, "the connection was lost while asking for %s", what);
        return NULL;
    }
    if (!result) {
        asking->has_timed_out = postgres_is(&failed, POSTGRES_CANCELLED);
        note(asking, what, &failed);
    }
    return result;
}

void asking_set(struct asking *asking, const char *name, json_t *value)
{
    json_object_set_new(asking->facts, name, value ? value : json_null());
}
