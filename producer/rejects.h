/* rejects.h - lines that could not become events: told, counted, and kept in a file where one was asked for. One thread. */
#ifndef TALLYMILL_REJECTS_H
#define TALLYMILL_REJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct rejects;

/* With a path (may be NULL) each rejected line becomes one JSON object there: file, line, reason, and text (or base64 where it is
 * not UTF-8). NULL: *err. */
struct rejects *rejects_open(const char *program, const char *path, struct error *err);

/* text is NULL where the line was too long to keep. The first few are told on stderr. */
void rejects_add(struct rejects *rejects, const char *file, uint64_t line, const char *reason, const char *text, size_t length);

uint64_t rejects_count(const struct rejects *rejects);

/* Tells on stderr how many more there were. False: ERROR_RETRY, the file is not complete. Frees in any case. */
bool rejects_close(struct rejects *rejects, struct error *err);

#endif
