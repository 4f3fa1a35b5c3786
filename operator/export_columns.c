/* export_columns.c - see export_columns.h.
 *
 * Attributes are asked for as JSON (`event_data #> path`), never as text (`#>>`): only so a number that is -5 can be told from a
 * text "-5" when the file is written, and a text "null" from null. `--columns` takes an attribute's name as the header has it,
 * behind event_data. where the catalogue does not know it: a misspelt column would be an empty one.
 */
#include "operator/export_columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/nearest.h"
#include "common/oid.h"
#include "operator/answer.h"
#include "operator/export_source.h"
#include "operator/snapshot.h"

extern const char export_paths_sql[];

static const char *const flat_first[] = {"id", "event_name", "event_category", NULL},
                         *const flat_second[] = {"action", "origin", NULL},
                         *const flat_third[] = {"session_id", "user_id", "is_internal", "created_at", NULL};

/* What the columns are chosen from. */
struct choosing {
    struct export_columns *columns;
    struct snapshot *snapshot;
    const struct catalogue *catalogue;
    PGresult *table; /* no row, but all columns of the table */
    bool is_events;
};

static enum export_kind kind_of(Oid type)
{
    switch (type) {
    case OID_BOOL: return EXPORT_BOOLEAN;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC: return EXPORT_NUMBER;
    case OID_TIMESTAMPTZ: return EXPORT_TIME;
    case OID_JSON:
    case OID_JSONB: return EXPORT_JSON;
    default: return EXPORT_TEXT;
    }
}

static bool has_column(const struct export_columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (strcmp(columns->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes the expression over. */
static bool add(struct export_columns *columns, const char *name, char *expression, enum export_kind kind, struct error *err)
{
    char *copy = strdup(name);
    struct export_column *items =
        columns->count < EXPORT_COLUMNS_MAX ? realloc(columns->items, (columns->count + 1) * sizeof *items) : NULL;
    if (items) {
        columns->items = items;
    }
    if (!copy || !expression || !items) {
        free(copy);
        free(expression);
        return columns->count < EXPORT_COLUMNS_MAX
                   ? error_set(err, ERROR_RETRY, "out of memory")
                   : error_set(err, ERROR_USAGE,
                               "there are more than %d columns: choose events by --event, or columns by --columns LIST",
                               EXPORT_COLUMNS_MAX);
    }
    columns->items[columns->count++] = (struct export_column){copy, expression, kind};
    return true;
}

static bool add_table_column(const struct choosing *choosing, int field, struct error *err)
{
    const char *name = PQfname(choosing->table, field);
    char *quoted = snapshot_quote_name(choosing->snapshot, name, err), *expression = quoted ? strdup(quoted) : NULL;
    PQfreemem(quoted);
    return (quoted || expression) && add(choosing->columns, name, expression, kind_of(PQftype(choosing->table, field)), err);
}

static bool add_attribute(const struct choosing *choosing, const char *name, struct error *err)
{
    char *array = export_path_array(name, err), *quoted = array ? snapshot_quote_text(choosing->snapshot, array, err) : NULL,
         *expression = NULL;
    free(array);
    if (!quoted) {
        return false;
    }
    if (asprintf(&expression, "event_data #> %s", quoted) < 0) {
        expression = NULL;
    }
    PQfreemem(quoted);
    return add(choosing->columns, name, expression, EXPORT_ATTRIBUTE, err);
}

/* The column of the table with that name; -1: there is none. (PQfnumber() would fold the letters of a name that has no quotes.) */
static int table_field(const struct choosing *choosing, const char *name)
{
    for (int field = 0; field < PQnfields(choosing->table); field++) {
        if (strcmp(PQfname(choosing->table, field), name) == 0) {
            return field;
        }
    }
    return -1;
}

/* All columns of the table. batch_id leads to books that are not exported; whoever wants it names it. */
static bool choose_table(const struct choosing *choosing, struct error *err)
{
    for (int field = 0; field < PQnfields(choosing->table); field++) {
        if (!(choosing->is_events && strcmp(PQfname(choosing->table, field), "batch_id") == 0) &&
            !add_table_column(choosing, field, err)) {
            return false;
        }
    }
    return true;
}

static bool add_named(const struct choosing *choosing, const char *const *names, struct error *err)
{
    for (; *names; names++) {
        if (!add_table_column(choosing, table_field(choosing, *names), err)) {
            return false;
        }
    }
    return true;
}

/* The columns of "flat" that are always there, in the plan's order. */
static bool begin_flat(const struct choosing *choosing, struct error *err)
{
    if (!add_named(choosing, flat_first, err)) {
        return false;
    }
    for (const char *const *name = flat_second; *name; name++) {
        if (!add_attribute(choosing, *name, err)) {
            return false;
        }
    }
    return add_named(choosing, flat_third, err);
}

static bool is_chosen(const struct export_choice *choice, const struct event_kind *kind)
{
    bool is_named = choice->name_count == 0;
    for (size_t i = 0; i < choice->name_count; i++) {
        is_named = is_named || strcmp(choice->names[i], kind->name) == 0;
    }
    return is_named && (!choice->category || strcmp(choice->category, kind->category) == 0);
}

/* The attributes that the catalogue knows of the chosen events, in its order. */
static bool choose_flat(const struct choosing *choosing, const struct export_choice *choice, struct error *err)
{
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(choosing->catalogue, &count);
    if (!begin_flat(choosing, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; is_chosen(choice, &kinds[i]) && j < kinds[i].attribute_count; j++) {
            const char *path = kinds[i].attributes[j].path;
            if (!has_column(choosing->columns, path) && !add_attribute(choosing, path, err)) {
                return false;
            }
        }
    }
    return true;
}

/* A name that would be taken for a column, or for a path behind "event_data.", stands behind that. */
static bool add_discovered(const struct choosing *choosing, const char *path, struct error *err)
{
    char *longer = NULL;
    if (table_field(choosing, path) < 0 && strncmp(path, "event_data.", 11) != 0) {
        return has_column(choosing->columns, path) || add_attribute(choosing, path, err);
    }
    const bool is_added = asprintf(&longer, "event_data.%s", path) >= 0 ? add_attribute(choosing, longer, err)
                                                                        : error_set(err, ERROR_RETRY, "out of memory");
    free(longer);
    return is_added;
}

/* The attributes that the chosen events have. */
static bool choose_discovered(const struct choosing *choosing, const struct export_source *source,
                              const struct export_choice *choice, struct error *err)
{
    static const char all[] = " FROM public.analytics_events";
    const char *const place = strstr(export_paths_sql, all);
    char *from = export_source_from(source, choosing->snapshot, choice, export_span_of(&choice->range), err), *sql = NULL;
    if (!from) {
        return false;
    }
    const bool is_whole =
        asprintf(&sql, "%.*s%s%s", (int)(place - export_paths_sql), export_paths_sql, from, place + sizeof all - 1) >= 0 ||
        error_set(err, ERROR_RETRY, "out of memory");
    PGresult *paths = is_whole ? snapshot_ask(choosing->snapshot, sql, err) : NULL;
    bool is_added = paths && begin_flat(choosing, err);
    for (int row = 0; is_added && row < PQntuples(paths); row++) {
        is_added = add_discovered(choosing, answer_text(paths, row, "path"), err);
    }
    PQclear(paths);
    free(from);
    if (is_whole) {
        free(sql);
    }
    return is_added;
}

static bool is_known_attribute(const struct catalogue *catalogue, const char *path)
{
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < kinds[i].attribute_count; j++) {
            if (strcmp(kinds[i].attributes[j].path, path) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool refuse_name(const struct choosing *choosing, const char *name, struct error *err)
{
    const char *names[64];
    size_t count = 0;
    for (int field = 0; field < PQnfields(choosing->table) && count < sizeof names / sizeof *names; field++) {
        names[count++] = PQfname(choosing->table, field);
    }
    const char *nearest = nearest_word(name, names, count);
    return error_set(err, ERROR_USAGE, "--columns: there is no column %.100s%s%s%s", name, nearest ? ", did you mean " : "",
                     nearest ? nearest : "",
                     choosing->is_events ? "; an attribute that the catalogue does not know is written event_data.NAME" : "");
}

/* A column of the table, an attribute that the catalogue knows, or event_data.PATH. */
static bool add_item(const struct choosing *choosing, const char *name, struct error *err)
{
    const int field = table_field(choosing, name);
    if (has_column(choosing->columns, name)) {
        return error_set(err, ERROR_USAGE, "--columns: %.100s stands there twice", name);
    }
    if (field >= 0) {
        return add_table_column(choosing, field, err);
    }
    if (choosing->is_events && (strncmp(name, "event_data.", 11) == 0 || is_known_attribute(choosing->catalogue, name))) {
        return add_attribute(choosing, name, err);
    }
    return refuse_name(choosing, name, err);
}

/* "id,llm.latency.ttft": commas inside quotes belong to a key. */
static bool choose_list(const struct choosing *choosing, const char *list, struct error *err)
{
    char *copy = strdup(list);
    bool is_good = copy || error_set(err, ERROR_RETRY, "out of memory");
    for (char *at = copy; is_good && at;) {
        bool is_quoted = false;
        char *end = at;
        for (; *end && (is_quoted || *end != ','); end++) {
            is_quoted ^= *end == '"';
        }
        const bool has_more = *end == ',';
        *end = '\0';
        is_good = add_item(choosing, at, err);
        at = has_more ? end + 1 : NULL;
    }
    free(copy);
    return is_good;
}

static bool choose(const struct choosing *choosing, const struct export_source *source, const struct export_choice *choice,
                   struct error *err)
{
    const char *asked = choice->columns ? choice->columns : "table";
    const bool is_flat = strcmp(asked, "flat") == 0, is_discovered = strcmp(asked, "discover") == 0;
    if ((is_flat || is_discovered) && !source->is_events) {
        return error_set(err, ERROR_USAGE, "--columns %s: only events have attributes", asked);
    }
    return strcmp(asked, "table") == 0 ? choose_table(choosing, err)
           : is_flat                   ? choose_flat(choosing, choice, err)
           : is_discovered             ? choose_discovered(choosing, source, choice, err)
                                       : choose_list(choosing, asked, err);
}

static bool write_list(struct export_columns *columns, struct error *err)
{
    size_t length;
    FILE *out = open_memstream(&columns->list, &length);
    for (size_t i = 0; out && i < columns->count; i++) {
        fprintf(out, "%s%s", i == 0 ? "" : ", ", columns->items[i].expression);
    }
    return (out && fclose(out) == 0) || error_set(err, ERROR_RETRY, "out of memory");
}

bool export_columns_choose(struct export_columns *columns, struct snapshot *snapshot, const struct export_source *source,
                           const struct export_choice *choice, const struct catalogue *catalogue, struct error *err)
{
    char *sql = NULL;
    *columns = (struct export_columns){0};
    if (asprintf(&sql, "SELECT * FROM %s LIMIT 0", source->table) < 0) {
        return error_set(err, ERROR_RETRY, "out of memory");
    }
    struct choosing choosing = {.columns = columns,
                                .snapshot = snapshot,
                                .catalogue = catalogue,
                                .table = snapshot_ask(snapshot, sql, err),
                                .is_events = source->is_events};
    const bool is_chosen_all = choosing.table && choose(&choosing, source, choice, err) && write_list(columns, err);
    PQclear(choosing.table);
    free(sql);
    return is_chosen_all;
}

void export_columns_reset(struct export_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        free(columns->items[i].name);
        free(columns->items[i].expression);
    }
    free(columns->items);
    free(columns->list);
    *columns = (struct export_columns){0};
}

/* Copies a key into the array, with the backslashes that an array wants. */
static void put_key_byte(FILE *out, char byte)
{
    if (byte == '"' || byte == '\\') {
        fputc('\\', out);
    }
    fputc(byte, out);
}

/* One key of a path, in quotes or without; returns the place behind it, NULL: it is none. */
static const char *put_key(FILE *out, const char *at)
{
    const bool is_quoted = *at == '"';
    const char *const start = at;
    fputc('"', out);
    if (is_quoted) {
        for (at++; *at && !(at[0] == '"' && at[1] != '"'); at++) {
            at += at[0] == '"'; /* twice is one */
            put_key_byte(out, *at);
        }
        at = *at == '"' ? at + 1 : NULL;
    } else {
        for (; *at && *at != '.'; at++) {
            put_key_byte(out, *at);
        }
    }
    fputc('"', out);
    return at && at > start && (*at == '.' || *at == '\0') ? at : NULL;
}

char *export_path_array(const char *path, struct error *err)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    const char *at = strncmp(path, "event_data.", 11) == 0 ? path + 11 : path;
    if (!out) {
        error_set(err, ERROR_RETRY, "out of memory");
        return NULL;
    }
    fputc('{', out);
    while ((at = put_key(out, at)) != NULL && *at == '.') {
        at++;
        fputc(',', out);
    }
    fputc('}', out);
    if (fclose(out) == 0 && at) {
        return text;
    }
    error_set(err, at ? ERROR_RETRY : ERROR_USAGE,
              at ? "out of memory" : "--columns: %.100s is no path of keys, like event_data.llm.latency.ttft", path);
    free(text);
    return NULL;
}
