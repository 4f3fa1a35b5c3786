/* erase_subject.h - whose events are to go: users by their numbers, sessions by their texts; and whether a dead letter is one of
 * theirs. One thread. */
#ifndef TALLYMILL_OPERATOR_ERASE_SUBJECT_H
#define TALLYMILL_OPERATOR_ERASE_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/error.h"

struct erase_subject {
    int64_t *users; /* sorted, each once, after erase_subject_end() */
    char **sessions;
    size_t user_count, session_count;
    char *user_array, *session_array; /* as Postgres reads arrays: {1,2}, {"s-1"}; after erase_subject_end() */
};

/* ERROR_USAGE: a user is a whole number from 0, a session a text that is not empty. */
MUST_CHECK bool erase_subject_add_user(struct erase_subject *subject, const char *text, struct error *err);
MUST_CHECK bool erase_subject_add_session(struct erase_subject *subject, const char *text, struct error *err);

/* Adds those of a receipt ({"users": [...], "sessions": [...]}). ERROR_USAGE: it is none. */
MUST_CHECK bool erase_subject_add_receipt(struct erase_subject *subject, const json_t *receipt, struct error *err);

/* No more will be added. */
MUST_CHECK bool erase_subject_end(struct erase_subject *subject, struct error *err);
void erase_subject_reset(struct erase_subject *subject);

/* Whether a user_id, as text, is one of theirs. */
bool erase_subject_has_user(const struct erase_subject *subject, const char *text);

enum erase_letter {
    LETTER_OF_OTHERS,
    LETTER_THEIRS,  /* its key is one of the sessions, or what can be read of it names one of them */
    LETTER_PERHAPS, /* it cannot be read, and holds the bytes of one of the sessions */
    LETTER_UNREAD,  /* it cannot be read, and holds none */
};

/* Key and value of a dead letter; NULL: it has none. */
MUST_CHECK enum erase_letter erase_subject_look(const struct erase_subject *subject, const uint8_t *key, size_t key_length,
                                                const uint8_t *value, size_t length);

#endif
