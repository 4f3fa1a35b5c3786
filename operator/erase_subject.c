/* erase_subject.c - see erase_subject.h.
 *
 * A dead letter is what no worker took, so it is read as far as it can be: a map of msgpack up to where it breaks, or JSON text,
 * which is what many a producer sends first. What cannot be read is not guessed at: it is reported, and a person decides. Rejected:
 * looking for a user's digits among bytes; 42 is in every other message.
 */
#include "operator/erase_subject.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array_text.h"
#include "common/msgpack.h"

enum { DEPTH_MAX = 1000 };

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_RETRY, "out of memory");
}

/* Digits that a user_id can be. */
static bool read_user(const char *bytes, size_t length, int64_t *user)
{
    char text[24];
    if (length == 0 || length >= sizeof text) {
        return false;
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
    errno = 0;
    *user = strtoll(text, NULL, 10);
    return strspn(text, "0123456789") == length && errno == 0;
}

static bool add_user(struct erase_subject *subject, int64_t user, struct error *err)
{
    int64_t *users = realloc(subject->users, (subject->user_count + 1) * sizeof *users);
    if (!users) {
        return no_memory(err);
    }
    subject->users = users;
    subject->users[subject->user_count++] = user;
    return true;
}

bool erase_subject_add_user(struct erase_subject *subject, const char *text, struct error *err)
{
    int64_t user;
    return read_user(text, strlen(text), &user)
               ? add_user(subject, user, err)
               : error_set(err, ERROR_USAGE, "--user %.40s: a user_id is a whole number from 0 to 9223372036854775807", text);
}

bool erase_subject_add_session(struct erase_subject *subject, const char *text, struct error *err)
{
    char **sessions = *text ? realloc(subject->sessions, (subject->session_count + 1) * sizeof *sessions) : NULL;
    if (!*text) {
        return error_set(err, ERROR_USAGE, "--session: which one? an empty text is none");
    }
    if (!sessions) {
        return no_memory(err);
    }
    subject->sessions = sessions;
    subject->sessions[subject->session_count] = strdup(text);
    return subject->sessions[subject->session_count++] != NULL || no_memory(err);
}

bool erase_subject_add_receipt(struct erase_subject *subject, const json_t *receipt, struct error *err)
{
    const json_t *users = json_object_get(receipt, "users"), *sessions = json_object_get(receipt, "sessions");
    bool is_good = (json_is_array(users) && json_is_array(sessions)) ||
                   error_set(err, ERROR_USAGE, "this is no receipt: it has no users and sessions");
    for (size_t i = 0; is_good && i < json_array_size(users); i++) {
        const json_t *user = json_array_get(users, i);
        is_good = json_is_integer(user) && json_integer_value(user) >= 0
                      ? add_user(subject, json_integer_value(user), err)
                      : error_set(err, ERROR_USAGE, "this is no receipt: number %zu of its users is no whole number from 0", i + 1);
    }
    for (size_t i = 0; is_good && i < json_array_size(sessions); i++) {
        const char *session = json_string_value(json_array_get(sessions, i));
        is_good = session && *session
                      ? erase_subject_add_session(subject, session, err)
                      : error_set(err, ERROR_USAGE, "this is no receipt: number %zu of its sessions is no text", i + 1);
    }
    return is_good;
}

static int compare_users(const void *one, const void *other)
{
    const int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static int compare_sessions(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Sorted, each once. */
static void settle(struct erase_subject *subject)
{
    size_t kept = 0;
    if (subject->user_count > 0) {
        qsort(subject->users, subject->user_count, sizeof *subject->users, compare_users);
    }
    for (size_t i = 0; i < subject->user_count; i++) {
        if (kept == 0 || subject->users[kept - 1] != subject->users[i]) {
            subject->users[kept++] = subject->users[i];
        }
    }
    subject->user_count = kept;
    kept = 0;
    if (subject->session_count > 0) {
        qsort(subject->sessions, subject->session_count, sizeof *subject->sessions, compare_sessions);
    }
    for (size_t i = 0; i < subject->session_count; i++) {
        if (kept > 0 && strcmp(subject->sessions[kept - 1], subject->sessions[i]) == 0) {
            free(subject->sessions[i]);
        } else {
            subject->sessions[kept++] = subject->sessions[i];
        }
    }
    subject->session_count = kept;
}

/* The literal, the caller's; NULL without memory. */
static char *take_array(struct array_text *array)
{
    const char *text = array_text_end(array);
    char *copy = text ? strdup(text) : NULL;
    array_text_free(array);
    return copy;
}

bool erase_subject_end(struct erase_subject *subject, struct error *err)
{
    struct array_text users = {0}, sessions = {0};
    settle(subject);
    array_text_begin(&users);
    array_text_begin(&sessions);
    for (size_t i = 0; i < subject->user_count; i++) {
        array_text_add_int64(&users, subject->users[i]);
    }
    for (size_t i = 0; i < subject->session_count; i++) {
        array_text_add(&sessions, subject->sessions[i], strlen(subject->sessions[i]));
    }
    subject->user_array = take_array(&users);
    subject->session_array = take_array(&sessions);
    return (subject->user_array && subject->session_array) || no_memory(err);
}

void erase_subject_reset(struct erase_subject *subject)
{
    for (size_t i = 0; i < subject->session_count; i++) {
        free(subject->sessions[i]);
    }
    free(subject->users);
    free(subject->sessions);
    free(subject->user_array);
    free(subject->session_array);
    *subject = (struct erase_subject){0};
}

static bool has_user(const struct erase_subject *subject, int64_t user)
{
    return subject->user_count > 0 && bsearch(&user, subject->users, subject->user_count, sizeof user, compare_users) != NULL;
}

static bool has_session(const struct erase_subject *subject, const void *bytes, size_t length)
{
    for (size_t i = 0; bytes && i < subject->session_count; i++) {
        if (strlen(subject->sessions[i]) == length && memcmp(subject->sessions[i], bytes, length) == 0) {
            return true;
        }
    }
    return false;
}

/* A user_id in another type than it should be is what a dead letter may have died of. */
static bool has_user_number(const struct erase_subject *subject, double number)
{
    return number >= 0 && number < 9e18 && floor(number) == number && has_user(subject, (int64_t)number);
}

static bool has_user_text(const struct erase_subject *subject, const void *bytes, size_t length)
{
    int64_t user;
    return read_user(bytes, length, &user) && has_user(subject, user);
}

bool erase_subject_has_user(const struct erase_subject *subject, const char *text)
{
    return has_user_text(subject, text, strlen(text));
}

static bool is_user(const struct erase_subject *subject, const struct msgpack_item *item)
{
    switch (item->type) {
    case ITEM_UINT: return item->uint <= INT64_MAX && has_user(subject, (int64_t)item->uint);
    case ITEM_FLOAT32: return has_user_number(subject, (double)item->float32);
    case ITEM_FLOAT64: return has_user_number(subject, item->float64);
    case ITEM_STR:
    case ITEM_BIN: return has_user_text(subject, item->bytes, item->length);
    default: return false;
    }
}

static bool is_name(const struct msgpack_item *item, const char *name)
{
    return item->type == ITEM_STR && item->length == strlen(name) && memcmp(item->bytes, name, item->length) == 0;
}

/* Reads a map up to where it ends or breaks; *is_whole: it ended. */
static bool packed_is_theirs(const struct erase_subject *subject, const uint8_t *value, size_t length, bool *is_whole)
{
    struct msgpack_cursor cursor = {value, value + length};
    struct msgpack_item map, key, item;
    *is_whole = msgpack_next(&cursor, &map) == REASON_NONE && map.type == ITEM_MAP;
    for (uint32_t i = 0; *is_whole && i < map.length; i++) {
        *is_whole = msgpack_next(&cursor, &key) == REASON_NONE && key.type != ITEM_ARRAY && key.type != ITEM_MAP;
        const struct msgpack_cursor at_value = cursor;
        *is_whole = *is_whole && msgpack_next(&cursor, &item) == REASON_NONE;
        if (*is_whole && ((is_name(&key, "user_id") && is_user(subject, &item)) ||
                          (is_name(&key, "session_id") && (item.type == ITEM_STR || item.type == ITEM_BIN) &&
                           has_session(subject, item.bytes, item.length)))) {
            return true;
        }
        cursor = at_value;
        *is_whole = *is_whole && msgpack_skip(&cursor, DEPTH_MAX) == REASON_NONE;
    }
    *is_whole = *is_whole && cursor.at == cursor.end;
    return false;
}

static bool json_is_theirs(const struct erase_subject *subject, const uint8_t *value, size_t length, bool *is_whole)
{
    json_error_t fault;
    json_t *found = json_loadb((const char *)value, length, 0, &fault), *user = json_object_get(found, "user_id");
    const char *session = json_string_value(json_object_get(found, "session_id"));
    const bool is_theirs = (json_is_integer(user) && has_user(subject, json_integer_value(user))) ||
                           (json_is_real(user) && has_user_number(subject, json_real_value(user))) ||
                           (json_is_string(user) && has_user_text(subject, json_string_value(user), json_string_length(user))) ||
                           (session && has_session(subject, session, strlen(session)));
    *is_whole = json_is_object(found);
    json_decref(found);
    return is_theirs;
}

static bool holds_session(const struct erase_subject *subject, const uint8_t *value, size_t length)
{
    for (size_t i = 0; i < subject->session_count; i++) {
        if (memmem(value, length, subject->sessions[i], strlen(subject->sessions[i]))) {
            return true;
        }
    }
    return false;
}

enum erase_letter erase_subject_look(const struct erase_subject *subject, const uint8_t *key, size_t key_length,
                                     const uint8_t *value, size_t length)
{
    bool is_whole = true;
    if (has_session(subject, key, key_length)) {
        return LETTER_THEIRS;
    }
    if (!value || length == 0) {
        return LETTER_OF_OTHERS;
    }
    if (packed_is_theirs(subject, value, length, &is_whole) || (!is_whole && json_is_theirs(subject, value, length, &is_whole))) {
        return LETTER_THEIRS;
    }
    return is_whole ? LETTER_OF_OTHERS : holds_session(subject, value, length) ? LETTER_PERHAPS : LETTER_UNREAD;
}
