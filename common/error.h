/* error.h - why something failed, as the decision it asks for and one line of text.
 *
 * Every fallible function takes a `struct error *err` last and returns false or NULL. The code that has the evidence sets it,
 * callers may prefix it on the way up, and it is logged once, where it is handled. Any thread; an error belongs to one thread.
 */
#ifndef TALLYMILL_COMMON_ERROR_H
#define TALLYMILL_COMMON_ERROR_H

#include <stdbool.h>

/* What a fallible function returns must not be passed over: the compiler warns. Where it may fail in silence, error_ignore() says
 * so. */
#define MUST_CHECK __attribute__((warn_unused_result))

enum error_kind {
    ERROR_NONE = 0,
    ERROR_RETRY,  /* may pass: a server away, a lock, a full disk. Exit code 1. */
    ERROR_REJECT, /* this one event or row can never be stored: a dead letter. */
    ERROR_USAGE,  /* command line, settings or schema are wrong. Exit code 2. */
    ERROR_FATAL,  /* a person must look: fenced by a namesake, truncated topic, unknown SQLSTATE. Exit code 3. */
};

enum { ERROR_TEXT_BYTES = 512 };

struct error {
    enum error_kind kind;
    char sqlstate[6];            /* five characters where Postgres said it, else "" */
    char text[ERROR_TEXT_BYTES]; /* what happened, to which object, what to do; one line, NUL-terminated, cut when too long */
};

/* Sets kind and text (sqlstate to ""); control characters in the text become spaces. Returns false, so `return error_set(...)`
 * works. */
bool error_set(struct error *err, enum error_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the text and keeps the kind. Returns false. */
bool error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Back to ERROR_NONE and an empty text. */
void error_clear(struct error *err);

/* The exit code that this error asks for: 0 none, 1 retry or reject, 2 usage, 3 fatal. */
MUST_CHECK int error_exit_code(const struct error *err);

/* For what is tried and may fail: the answer of a fallible function is passed over on purpose. */
static inline void error_ignore(bool is_done)
{
    (void)is_done;
}

#endif
