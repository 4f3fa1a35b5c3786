/* archive_store.h - where archives lie: named blocks of bytes that are put there whole, and read back whole.
 *
 * A target is a directory, or s3://BUCKET/PREFIX. Keys hold only [a-z0-9/._-]. What archive_store_put() has answered true to is
 * durable, as far as the store goes: a part is either there whole or not there. One thread.
 */
#ifndef TALLYMILL_OPERATOR_ARCHIVE_STORE_H
#define TALLYMILL_OPERATOR_ARCHIVE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

struct archive_store;
struct settings;

/* What the key of every archive begins with: in a directory, the folder in which all of them lie. */
#define ARCHIVE_STORE_EVENTS "analytics_events"

/* What a block may have at most: a part, and some. */
enum { ARCHIVE_BLOCK_MAX = 1 << 30 };

/* What was read; the caller frees `bytes`. */
struct archive_block {
    char *bytes;
    size_t length;
};

/* Who may use what is in a store, as far as this user can tell. */
struct archive_rights {
    bool is_owner;               /* we are root, or whom the target belongs to */
    char what[448], remedy[256]; /* what keeps somebody out, and the command that mends it; "": nothing does */
};

/* Asks nothing of the store yet but whether the target can be one. The settings must outlive it. NULL: ERROR_USAGE. */
MUST_CHECK struct archive_store *archive_store_open(const struct settings *settings, const char *target, struct error *err);
void archive_store_close(struct archive_store *store); /* NULL is allowed */

/* The target as it was given. */
const char *archive_store_target(const struct archive_store *store);

/* Whether the store is there and lets us in; nothing is changed. ERROR_USAGE, ERROR_RETRY. */
MUST_CHECK bool archive_store_check(struct archive_store *store, struct error *err);

/* What --check asks of archive.target, where it names a store. As archive_store_open() and archive_store_check(). */
MUST_CHECK bool archive_store_check_target(const struct settings *settings, struct error *err);

/* Looks at all that lies there. ERROR_USAGE: the target itself may not be used by us. */
MUST_CHECK bool archive_store_rights(const struct archive_store *store, struct archive_rights *rights, struct error *err);

/* Whether nothing of ours lies there, as far as a look at one name tells: a directory without that of the events. */
bool archive_store_is_bare(const struct archive_store *store);

/* Whether the store keeps what was deleted or replaced, as far as its answers have said. */
bool archive_store_keeps_versions(const struct archive_store *store);

/* A block of that name is replaced. ERROR_RETRY; ERROR_USAGE where the store refuses us. */
MUST_CHECK bool archive_store_put(struct archive_store *store, const char *key, const char *bytes, size_t length,
                                  struct error *err);

/* False with err: the store cannot be asked. True with block->bytes NULL: it has no block of that name. */
MUST_CHECK bool archive_store_get(struct archive_store *store, const char *key, struct archive_block *block, struct error *err);

/* Deletes every block whose key begins with `prefix`, which ends with a slash: that of the name `last` when all others have gone,
 * so that it tells whose the others are as long as there are any. None is no error. *count: how many went. */
MUST_CHECK bool archive_store_delete_all(struct archive_store *store, const char *prefix, const char *last, int *count,
                                         struct error *err);

/* A kind of store: what stands behind the functions above. */
struct archive_store_kind {
    void *(*open)(const struct settings *settings, const char *target, struct error *err);
    void (*close)(void *store);
    bool (*check)(void *store, struct error *err);
    bool (*put)(void *store, const char *key, const char *bytes, size_t length, struct error *err);
    bool (*get)(void *store, const char *key, struct archive_block *block, struct error *err);
    bool (*delete_all)(void *store, const char *prefix, const char *last, int *count, struct error *err); /* count begins with 0 */
    bool (*keeps_versions)(const void *store);
    bool (*is_bare)(const void *store);
    bool (*rights)(const void *store, struct archive_rights *rights, struct error *err);
};

extern const struct archive_store_kind archive_store_directory, archive_store_s3;

#endif
