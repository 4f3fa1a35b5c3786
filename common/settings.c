/* settings.c - see settings.h.
 *
 * The values lie in an array parallel to the table, found by walking it: twenty comparisons at the start are nothing, and callers
 * read a setting once. A struct with a member for each setting was rejected: key, default, type and help would stand in three
 * places. Each value keeps where it came from, because an error found later (libpq, librdkafka, a port that is taken) must still
 * name the file and line.
 */
#include "common/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/settings_file.h"
#include "common/settings_secret.h"
#include "common/settings_store.h"
#include "common/settings_value.h"

enum { KEYS_MAX = 128, ORIGIN_BYTES = 512 };

static const char kafka_prefix[] = "kafka.";

static bool is_kafka(const char *key)
{
    return strncmp(key, kafka_prefix, strlen(kafka_prefix)) == 0;
}

static size_t table_count(void)
{
    size_t count = 0;
    while (settings_table[count].key != NULL)
        count++;
    return count;
}

/* The index of a key, or table_count(). */
static size_t table_find(const char *key)
{
    size_t i = 0;
    while (settings_table[i].key != NULL && strcmp(settings_table[i].key, key) != 0)
        i++;
    return i;
}

static bool unknown_key(const char *key, struct error *err)
{
    const char *keys[KEYS_MAX];
    size_t count = 0;
    for (; settings_table[count].key != NULL && count < KEYS_MAX; count++) {
        keys[count] = settings_table[count].key;
        const char *bare = strchr(keys[count], '.');
        if (bare != NULL && strcmp(bare + 1, key) == 0)
            return error_set(err, ERROR_USAGE, "unknown setting; did you mean %s?", keys[count]);
    }
    const char *nearest = nearest_word(key, keys, count);
    if (nearest != NULL)
        return error_set(err, ERROR_USAGE, "unknown setting; did you mean %s?", nearest);
    return error_set(err, ERROR_USAGE, "unknown setting (--help lists them)");
}

static char *copy(const char *text, struct error *err)
{
    char *copied = strdup(text);
    if (copied == NULL)
        error_set(err, ERROR_RETRY, "out of memory");
    return copied;
}

static void value_reset(struct settings_value *value)
{
    free(value->text);
    free(value->written);
    free(value->origin);
    free(value->unread);
    *value = (struct settings_value){0};
}

/* What a value can be beside itself: the name of a file that holds it, and then of one that holds a secret. */
enum value_source { ITSELF, PERHAPS_A_FILE, PERHAPS_A_SECRETS_FILE };

/* Fills a value; on failure it is left empty. */
static bool value_fill(struct settings_value *value, const char *written, const char *origin, enum value_source source,
                       const char *settings_path, struct error *err)
{
    value_reset(value);
    if ((value->text = source == ITSELF
                           ? copy(written, err)
                           : settings_file_value(written, settings_path, source == PERHAPS_A_SECRETS_FILE, err)) != NULL &&
        (value->written = copy(written, err)) != NULL && (value->origin = copy(origin, err)) != NULL)
        return true;
    value_reset(value);
    return false;
}

static bool names_a_file(const char *written)
{
    return written[0] == '@' && written[1] != '@';
}

/* A value whose file could not be read, as `err` says, where it may be that nobody asks for it. */
static bool value_leave(struct settings_value *value, const char *written, const char *origin, struct error *err)
{
    const struct error said = *err;
    error_clear(err);
    return value_fill(value, "", origin, ITSELF, NULL, err) &&
           (free(value->written), value->written = copy(written, err)) != NULL && (value->unread = copy(said.text, err)) != NULL;
}

/* A name that librdkafka cannot have, which would be printed and not read back as the same. */
static bool is_kafka_name(const char *name)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[strspn(name, alphabet)] == '\0';
}

/* Whether librdkafka reads a file of this name: certificates, keys. */
static bool names_file(const char *name)
{
    const char *end = strrchr(name, '.');
    return end != NULL && (strcmp(end, ".location") == 0 || strcmp(end, ".keytab") == 0);
}

/* Whether librdkafka asks at an address of this name, for tokens. */
static bool names_url(const char *name)
{
    const char *end = strrchr(name, '.');
    return end != NULL && strcmp(end, ".url") == 0;
}

static bool set_kafka(struct settings *settings, const char *name, const char *text, const char *origin, struct error *err)
{
    if (*name == '\0')
        return error_set(err, ERROR_USAGE, "no name behind \"kafka.\"");
    if (!is_kafka_name(name))
        return error_set(err, ERROR_USAGE, "a kafka.* setting has a name of letters, digits, '.', '_' and '-'");
    size_t i = 0;
    while (i < settings->kafka_count && strcmp(settings->kafka[i].name, name) != 0)
        i++;
    if (i == settings->kafka_count) {
        if (i == SETTINGS_KAFKA_MAX)
            return error_set(err, ERROR_USAGE, "more than %d kafka.* settings", SETTINGS_KAFKA_MAX);
        if ((settings->kafka[i].name = copy(name, err)) == NULL)
            return false;
        settings->kafka_count++;
    }
    struct settings_value *value = &settings->kafka_values[i];
    bool ok = value_fill(value, text, origin, PERHAPS_A_SECRETS_FILE, settings->path, err);
    if (!ok && err->kind == ERROR_USAGE && names_a_file(text) && (settings->programs & (FOR_CONSUMER | FOR_PRODUCE)) == 0)
        ok = value_leave(value, text, origin, err);
    settings->kafka[i].value = value->text;
    if (ok && names_file(name))
        value->number = settings_file_mark(value->text);
    bool is_list = strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0;
    if (ok && is_list && strchr(value->text, '@') != NULL) /* librdkafka would put it into its errors as the name of a host */
        return error_set(err, ERROR_USAGE, "it wants HOST:PORT, with commas; a user is named by kafka.sasl.username");
    if (ok && names_url(name) && strchr(value->text, '@') != NULL) /* and this one into its warnings */
        return error_set(
            err, ERROR_USAGE,
            "no login may stand in it; that is kafka.sasl.oauthbearer.client.id and kafka.sasl.oauthbearer.client.secret");
    return ok;
}

static bool set(struct settings *settings, const char *key, const char *text, const char *origin, struct error *err)
{
    if (is_kafka(key))
        return set_kafka(settings, key + strlen(kafka_prefix), text, origin, err);
    size_t i = table_find(key);
    if (settings_table[i].key == NULL)
        return unknown_key(key, err);
    struct settings_value *value = &settings->values[i];
    const bool is_used = (settings_table[i].programs & settings->programs) != 0;
    const enum value_source source = settings_table[i].type != SETTING_TEXT || !is_used ? ITSELF
                                     : (settings_table[i].programs & IS_SECRET) != 0    ? PERHAPS_A_SECRETS_FILE
                                                                                        : PERHAPS_A_FILE;
    return value_fill(value, text, origin, source, settings->path, err) &&
           settings_value_parse(&settings_table[i], value->text, &value->number, err);
}

struct file_context {
    struct settings *settings;
    const char *path;
};

static bool set_from_file(void *context, const char *key, const char *text, int line, struct error *err)
{
    const struct file_context *file = context;
    char origin[ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "%s:%d", file->path, line);
    const char *before = settings_origin(file->settings, key);
    if (strcmp(before, "default") != 0)
        error_set(err, ERROR_USAGE, "set twice, here and at %s", before);
    else if (set(file->settings, key, text, origin, err))
        return true;
    return error_wrap(err, "%s: %s", origin, settings_file_may_show_key(key) ? key : "what stands before the \"=\" is no key");
}

/* A comment behind a value is the likeliest mistake with this format, and in a text it would pass unseen. */
static void warn_about_comment(void *context, const char *key, int line)
{
    const struct file_context *file = context;
    char path[LOG_TEXT_BYTES], name[LOG_TEXT_BYTES];
    log_warn("what follows # or ; belongs to the value: comments stand on lines of their own", "file=\"%s\" line=%d key=\"%s\"",
             log_text(path, file->path), line, log_text(name, settings_file_may_show_key(key) ? key : "..."));
}

static bool set_from_command_line(struct settings *settings, const char *pair, struct error *err)
{
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair)
        return error_set(err, ERROR_USAGE, "--set %s: it wants KEY=VALUE",
                         equals == pair                     ? "=..."
                         : settings_file_may_show_key(pair) ? pair
                                                            : "...");
    char *key = strndup(pair, (size_t)(equals - pair));
    if (key == NULL)
        return error_set(err, ERROR_RETRY, "out of memory");
    bool ok = set(settings, key, equals + 1, "--set", err);
    if (!ok)
        error_wrap(err, "--set %s", settings_file_may_show_key(key) ? key : "...");
    free(key);
    return ok;
}

static bool load(struct settings *settings, const char *path, const char *const *sets, size_t set_count, struct error *err)
{
    for (size_t i = 0; settings_table[i].key != NULL; i++)
        if (!set(settings, settings_table[i].key, settings_table[i].fallback, "default", err))
            return error_wrap(err, "default of %s", settings_table[i].key);
    struct file_context file = {settings, path};
    if (path != NULL && !settings_file_read(path, set_from_file, warn_about_comment, &file, err))
        return false;
    for (size_t i = 0; i < set_count; i++)
        if (!set_from_command_line(settings, sets[i], err))
            return false;
    const char *dsn = settings_text(settings, "postgres.dsn");
    const bool is_unread = names_a_file(dsn) && strcmp(dsn, settings->values[table_find("postgres.dsn")].written) == 0;
    if (!is_unread && !settings_secret_check_dsn(dsn, err))
        return error_wrap(err, "%s: postgres.dsn", settings_origin(settings, "postgres.dsn"));
    return true;
}

bool settings_refresh_dsn(struct settings *settings, struct error *err)
{
    struct settings_value *value = &settings->values[table_find("postgres.dsn")];
    if (!names_a_file(value->written))
        return true;
    char *text = settings_file_value(value->written, settings->path, false, err);
    if (text == NULL || !settings_secret_check_dsn(text, err)) {
        free(text);
        return error_wrap(err, "%s: postgres.dsn", value->origin);
    }
    free(value->text);
    value->text = text;
    return true;
}

/* What settings_load_again() needs. */
static bool remember_call(struct settings *settings, const char *path, const char *const *sets, size_t set_count, struct error *err)
{
    if (path != NULL && (settings->path = copy(path, err)) == NULL)
        return false;
    settings->sets = calloc(set_count + 1, sizeof *settings->sets);
    if (settings->sets == NULL)
        return error_set(err, ERROR_RETRY, "out of memory");
    for (; settings->set_count < set_count; settings->set_count++)
        if ((settings->sets[settings->set_count] = copy(sets[settings->set_count], err)) == NULL)
            return false;
    return true;
}

struct settings *settings_load(const char *path, const char *const *sets, size_t set_count, struct error *err)
{
    return settings_load_for(FOR_CONSUMER | FOR_AGGREGATOR | FOR_PRODUCE | FOR_OPERATOR, path, sets, set_count, err);
}

struct settings *settings_load_for(unsigned programs, const char *path, const char *const *sets, size_t set_count,
                                   struct error *err)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL || (settings->values = calloc(table_count(), sizeof *settings->values)) == NULL) {
        error_set(err, ERROR_RETRY, "out of memory");
        goto out;
    }
    settings->programs = programs;
    if (remember_call(settings, path, sets, set_count, err) && load(settings, path, sets, set_count, err))
        return settings;
out:
    settings_free(settings);
    return NULL;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; settings->values != NULL && settings_table[i].key != NULL; i++)
        value_reset(&settings->values[i]);
    for (size_t i = 0; i < settings->kafka_count; i++) {
        free((char *)settings->kafka[i].name);
        value_reset(&settings->kafka_values[i]);
    }
    for (size_t i = 0; i < settings->set_count; i++)
        free(settings->sets[i]);
    free(settings->sets);
    free(settings->path);
    free(settings->values);
    free(settings);
}

/* The value of a key that the program names itself: one that is missing is our bug. */
static const struct settings_value *known(const struct settings *settings, const char *key, const struct setting **setting)
{
    size_t i = table_find(key);
    *setting = &settings_table[i];
    assert(settings_table[i].key != NULL);
    return &settings->values[i];
}

const char *settings_text(const struct settings *settings, const char *key)
{
    const struct setting *setting;
    const struct settings_value *value = known(settings, key, &setting);
    assert(setting->type == SETTING_TEXT || setting->type == SETTING_CHOICE);
    return value->text;
}

const char *settings_written(const struct settings *settings, const char *key)
{
    const struct setting *setting;
    return known(settings, key, &setting)->text;
}

int64_t settings_int(const struct settings *settings, const char *key)
{
    const struct setting *setting;
    const struct settings_value *value = known(settings, key, &setting);
    assert(setting->type == SETTING_COUNT || setting->type == SETTING_BYTES || setting->type == SETTING_DURATION);
    return value->number;
}

int64_t settings_oldest_us(const struct settings *settings, const char *key, int64_t wall_us)
{
    const struct setting *setting;
    const struct settings_value *value = known(settings, key, &setting);
    assert(setting->type == SETTING_AGE);
    return settings_value_age_us(value->text, wall_us);
}

const char *settings_path(const struct settings *settings)
{
    return settings->path ? settings->path : "";
}

const char *settings_origin(const struct settings *settings, const char *key)
{
    const struct settings_value *value = NULL;
    if (is_kafka(key)) {
        for (size_t i = 0; i < settings->kafka_count && value == NULL; i++)
            if (strcmp(settings->kafka[i].name, key + strlen(kafka_prefix)) == 0)
                value = &settings->kafka_values[i];
    } else {
        size_t i = table_find(key);
        value = settings_table[i].key != NULL ? &settings->values[i] : NULL;
    }
    return value != NULL && value->origin != NULL ? value->origin : "default";
}

const char *settings_kafka_unread(const struct settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->kafka_count; i++)
        if (strcmp(settings->kafka[i].name, key + strlen(kafka_prefix)) == 0)
            return settings->kafka_values[i].unread;
    return NULL;
}

const struct kafka_setting *settings_kafka(const struct settings *settings, size_t *count)
{
    *count = settings->kafka_count;
    return settings->kafka;
}
