/* import.h - NDJSON from files and stdin into events: one object a line, mapped by columns.h; bad lines are rejected and the rest
 * goes on. */
#ifndef TALLYMILL_IMPORT_H
#define TALLYMILL_IMPORT_H

#include <stdbool.h>

struct columns;
struct error;
struct rejects;
struct sender;

/* The bytes of all files together, for the progress bar; 0 where one has no size. */
long long import_size(char **paths, int count);

/* Sends every line of the files in order ("-" is stdin). False: *err says why it stopped before the end. */
bool import_files(char **paths, int count, struct columns *columns, struct sender *sender, struct rejects *rejects,
                  struct error *err);

#endif
