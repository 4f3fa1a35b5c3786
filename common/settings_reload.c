/* settings_reload.c - which settings a running program can change, and changing them.
 *
 * What is not IS_LIVE in the table shapes what was made at the start (buffers, the name in a group), and a change of it would be a
 * restart in disguise: it is named in the log and waits for one. How to come to the servers (postgres.dsn, kafka.*) is the caller's
 * to try and to take over. A file with any error changes nothing, so that half of an edit is never in force.
 */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/settings.h"
#include "common/settings_store.h"

/* What can be wrong in a way that only a server can tell: the caller tries it before it takes it over. */
static bool is_proven_first(const char *key)
{
    return strcmp(key, "postgres.dsn") == 0;
}

bool settings_is_live(const struct setting *setting, unsigned program)
{
    return (setting->programs & IS_LIVE) != 0 && (setting->programs & program & (FOR_CONSUMER | FOR_AGGREGATOR)) != 0;
}

struct settings *settings_load_again(const struct settings *settings, struct error *err)
{
    return settings_load_for(settings->programs, settings->path, (const char *const *)settings->sets, settings->set_count, err);
}

bool settings_is_same_dsn(const struct settings *one, const struct settings *other)
{
    return strcmp(settings_text(one, "postgres.dsn"), settings_text(other, "postgres.dsn")) == 0;
}

bool settings_is_same_kafka(const struct settings *one, const struct settings *other)
{
    if (one->kafka_count != other->kafka_count)
        return false;
    for (size_t i = 0; i < one->kafka_count; i++)
        if (strcmp(one->kafka[i].name, other->kafka[i].name) != 0 || strcmp(one->kafka[i].value, other->kafka[i].value) != 0 ||
            one->kafka_values[i].number != other->kafka_values[i].number)
            return false;
    return true;
}

bool settings_is_same(const struct settings *one, const struct settings *other, unsigned program)
{
    for (size_t i = 0; settings_table[i].key != NULL; i++)
        if ((settings_table[i].programs & program) != 0 && !is_proven_first(settings_table[i].key) &&
            strcmp(one->values[i].text, other->values[i].text) != 0)
            return false;
    return true;
}

void settings_tell_read(bool is_same)
{
    if (!is_same)
        log_info("settings read again", NULL);
    else if (getenv("CREDENTIALS_DIRECTORY") != NULL)
        log_info(
            "settings read again: nothing has changed, so nothing was tried. What systemd's LoadCredential= hands on was copied "
            "at the start: a new secret there is taken by systemctl restart, not by reload",
            NULL);
    else
        log_info("settings read again: nothing has changed, in them or in the files that they name, so nothing was tried", NULL);
}

bool settings_is_written_same_kafka(const struct settings *one, const struct settings *other)
{
    if (one->kafka_count != other->kafka_count)
        return false;
    for (size_t i = 0; i < one->kafka_count; i++)
        if (strcmp(one->kafka[i].name, other->kafka[i].name) != 0 ||
            strcmp(one->kafka_values[i].written, other->kafka_values[i].written) != 0)
            return false;
    return true;
}

static void swap_values(struct settings_value *one, struct settings_value *other)
{
    const struct settings_value before = *one;
    *one = *other;
    *other = before;
}

void settings_swap_dsn(struct settings *one, struct settings *other)
{
    for (size_t i = 0; settings_table[i].key != NULL; i++)
        if (is_proven_first(settings_table[i].key))
            swap_values(&one->values[i], &other->values[i]);
}

void settings_swap_kafka(struct settings *one, struct settings *other)
{
    const size_t count = one->kafka_count;
    for (size_t i = 0; i < count || i < other->kafka_count; i++) {
        const struct kafka_setting before = one->kafka[i];
        one->kafka[i] = other->kafka[i];
        other->kafka[i] = before;
        swap_values(&one->kafka_values[i], &other->kafka_values[i]);
    }
    one->kafka_count = other->kafka_count;
    other->kafka_count = count;
}

void settings_adopt(struct settings *settings, struct settings *fresh, unsigned program)
{
    char text[LOG_TEXT_BYTES];
    for (size_t i = 0; settings_table[i].key != NULL; i++) {
        const struct setting *setting = &settings_table[i];
        if ((setting->programs & program) == 0 || is_proven_first(setting->key) ||
            strcmp(settings->values[i].text, fresh->values[i].text) == 0)
            continue;
        if (!settings_is_live(setting, program)) {
            log_warn("this setting has changed, which is taken at the next start only", "key=%s", setting->key);
            continue;
        }
        swap_values(&settings->values[i], &fresh->values[i]);
        log_info("setting changed", "key=%s value=\"%s\"", setting->key, log_text(text, settings->values[i].written));
    }
    enum log_level level;
    if (log_level_parse(settings_text(settings, "log.level"), &level))
        log_set_level(level);
}
