/* table.c - see table.h.
 *
 * All cells stand one after the other in one buffer, each with its NUL, so a table costs two allocations however many rows it has.
 * The widths are kept while rows are added; nothing is measured twice.
 */
#include "operator/table.h"

#include <stdlib.h>
#include <string.h>

#include "operator/terminal.h"

struct table {
    const char *const *heads;
    char sides[TABLE_COLUMNS_MAX + 1];
    int columns;
    int widths[TABLE_COLUMNS_MAX];
    char *cells; /* rows x columns texts, NUL-terminated */
    size_t used, size;
    long rows;
    bool has_lost_rows;
};

struct table *table_new(const char *sides, const char *const *heads)
{
    struct table *table = calloc(1, sizeof *table);
    if (!table) {
        return NULL;
    }
    table->columns = (int)strnlen(sides, TABLE_COLUMNS_MAX);
    memcpy(table->sides, sides, (size_t)table->columns);
    table->heads = heads;
    for (int i = 0; i < table->columns; i++) {
        table->widths[i] = terminal_text(NULL, heads[i]);
    }
    return table;
}

void table_free(struct table *table)
{
    if (table) {
        free(table->cells);
        free(table);
    }
}

/* Room for `bytes` more; false when memory ran out. */
static bool reserve(struct table *table, size_t bytes)
{
    if (table->size - table->used >= bytes) {
        return true;
    }
    size_t size = table->size ? table->size * 2 : 4096;
    while (size - table->used < bytes) {
        size *= 2;
    }
    char *cells = realloc(table->cells, size);
    if (!cells) {
        return false;
    }
    table->cells = cells;
    table->size = size;
    return true;
}

void table_add(struct table *table, const char *const *cells)
{
    if (!table) {
        return;
    }
    size_t bytes = 0;
    for (int i = 0; i < table->columns; i++) {
        bytes += strlen(cells[i] ? cells[i] : "") + 1;
    }
    if (!reserve(table, bytes)) {
        table->has_lost_rows = true;
        return;
    }
    for (int i = 0; i < table->columns; i++) {
        const char *cell = cells[i] ? cells[i] : "";
        size_t length = strlen(cell) + 1;
        memcpy(table->cells + table->used, cell, length);
        table->used += length;
        int width = terminal_text(NULL, cell);
        if (width > table->widths[i]) {
            table->widths[i] = width;
        }
    }
    table->rows++;
}

static void print_cell(const struct table *table, int column, const char *cell, FILE *out)
{
    int padding = table->widths[column] - terminal_text(NULL, cell);
    bool is_last = column == table->columns - 1;
    if (table->sides[column] == 'r') {
        fprintf(out, "%*s", padding, "");
    }
    terminal_text(out, cell);
    if (table->sides[column] == 'l' && !is_last) {
        fprintf(out, "%*s", padding, "");
    }
    fputs(is_last ? "\n" : "  ", out);
}

bool table_print(const struct table *table, const char *indent, FILE *out)
{
    if (table) {
        fputs(indent, out);
        for (int i = 0; i < table->columns; i++) {
            print_cell(table, i, table->heads[i], out);
        }
        const char *cell = table->cells;
        for (long row = 0; row < table->rows; row++) {
            fputs(indent, out);
            for (int i = 0; i < table->columns; i++) {
                print_cell(table, i, cell, out);
                cell += strlen(cell) + 1;
            }
        }
    }
    if (!table || table->has_lost_rows) {
        fprintf(out, "%s(not all rows are shown: out of memory)\n", indent);
        return false;
    }
    return true;
}
