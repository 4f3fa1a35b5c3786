/* archive_store.c - which kind of store a target is. */
#include "operator/archive_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/settings.h"

struct archive_store {
    const struct archive_store_kind *kind;
    void *store;
    char *target;
};

static const struct archive_store_kind *kind_of(const char *target, struct error *err)
{
    if (target[0] == '/')
        return &archive_store_directory;
    if (strncmp(target, "s3://", 5) == 0)
        return &archive_store_s3;
    error_set(err, ERROR_USAGE, "archive.target %.100s: it is the absolute path of a directory, or s3://BUCKET/PREFIX",
              strchr(target, '@') ? "..." : target); /* a login belongs into no log */
    return NULL;
}

struct archive_store *archive_store_open(const struct settings *settings, const char *target, struct error *err)
{
    const struct archive_store_kind *kind = kind_of(target, err);
    struct archive_store *store = kind ? calloc(1, sizeof *store) : NULL;
    if (!kind)
        return NULL;
    if (store && (store->target = strdup(target)) != NULL && (store->store = kind->open(settings, target, err)) != NULL) {
        store->kind = kind;
        return store;
    }
    if (err->kind == ERROR_NONE)
        error_set(err, ERROR_RETRY, "out of memory");
    archive_store_close(store);
    return NULL;
}

void archive_store_close(struct archive_store *store)
{
    if (!store)
        return;
    if (store->kind)
        store->kind->close(store->store);
    free(store->target);
    free(store);
}

const char *archive_store_target(const struct archive_store *store)
{
    return store->target;
}

bool archive_store_check(struct archive_store *store, struct error *err)
{
    return store->kind->check(store->store, err);
}

bool archive_store_check_target(const struct settings *settings, struct error *err)
{
    const char *target = settings_text(settings, "archive.target");
    if (target[0] == '\0' || strcmp(target, "none") == 0)
        return true;
    struct archive_store *store = archive_store_open(settings, target, err);
    const bool is_good = store && archive_store_check(store, err);
    archive_store_close(store);
    return is_good;
}

bool archive_store_rights(const struct archive_store *store, struct archive_rights *rights, struct error *err)
{
    return store->kind->rights(store->store, rights, err);
}

bool archive_store_is_bare(const struct archive_store *store)
{
    return store->kind->is_bare(store->store);
}

bool archive_store_keeps_versions(const struct archive_store *store)
{
    return store->kind->keeps_versions(store->store);
}

bool archive_store_put(struct archive_store *store, const char *key, const char *bytes, size_t length, struct error *err)
{
    return store->kind->put(store->store, key, bytes, length, err);
}

bool archive_store_get(struct archive_store *store, const char *key, struct archive_block *block, struct error *err)
{
    *block = (struct archive_block){0};
    return store->kind->get(store->store, key, block, err);
}

bool archive_store_delete_all(struct archive_store *store, const char *prefix, const char *last, int *count, struct error *err)
{
    *count = 0;
    return store->kind->delete_all(store->store, prefix, last, count, err);
}
