/* rejects.h - lines that could not become events: told, counted, and kept in a file where one was asked for. One thread. */
#ifndef TALLYMILL_PRODUCER_IMPORT_REJECTS_H
#define TALLYMILL_PRODUCER_IMPORT_REJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct rejects;

/* earlier, kept_bytes: how many an interrupted run has counted, and how long its file then was (0: begin anew).
 * With a path (may be NULL) each rejected line becomes one JSON object there: file, line, reason, and text (or base64 where it is
 * not UTF-8). NULL: *err. */
MUST_CHECK struct rejects *rejects_open(const char *program, const char *path, uint64_t earlier, int64_t kept_bytes,
                                        struct error *err);

/* text is NULL where the line was too long to keep. The first few are shown on stderr. */
void rejects_add(struct rejects *rejects, const char *file, uint64_t line, const char *reason, const char *text, size_t length);

/* Brings the file to the disk; *bytes is how long it is. False: ERROR_RETRY. */
MUST_CHECK bool rejects_flush(struct rejects *rejects, int64_t *bytes, struct error *err);

uint64_t rejects_count(const struct rejects *rejects);

/* Tells on stderr how many more there were. False: ERROR_RETRY, the file is not complete. Frees in any case. */
MUST_CHECK bool rejects_close(struct rejects *rejects, struct error *err);

#endif
