/* table.h - a table of text on a terminal: columns as wide as their widest cell, numbers to the right.
 *
 * Cells are copied, and printed through terminal_text(), so that no cell can break the table. One thread.
 */
#ifndef TALLYMILL_OPERATOR_TABLE_H
#define TALLYMILL_OPERATOR_TABLE_H

#include <stdbool.h>
#include <stdio.h>

struct table;

enum { TABLE_COLUMNS_MAX = 12 };

/* `sides` has a letter for each column: 'l' or 'r', the side it is aligned to; `heads` as many titles, borrowed until table_free.
 * NULL without memory; the other functions take a NULL table. */
struct table *table_new(const char *sides, const char *const *heads);
void table_free(struct table *table);

/* Adds a row; a NULL cell is empty. Without memory the row is lost, and table_print says so. */
void table_add(struct table *table, const char *const *cells);

/* Writes the table, each line behind `indent`. Returns false (and says so in the output) when rows were lost for want of memory. */
bool table_print(const struct table *table, const char *indent, FILE *out);

#endif
