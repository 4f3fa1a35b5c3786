/* settings_print.c - settings_print(), see settings.h.
 *
 * What it writes can be read back by --config, and each key stands under the help line of the table: it is the sample file and the
 * reference in one. A value that names a file is printed as written, so its secret is not in it; others are masked. So is whatever
 * stands under a name that librdkafka does not know, for it may be a misspelt password.
 */
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "common/settings.h"
#include "common/settings_secret.h"
#include "common/settings_store.h"

/* A value on one line: a text that came by --set may hold a newline. */
static void print_line(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        putc(*text == '\n' || *text == '\r' ? ' ' : *text, out);
}

/* Whether librdkafka has a property of this name, of a client or of a topic. It is set, not asked for: one without a value is
 * unknown to rd_kafka_conf_get(). */
static bool is_property(rd_kafka_conf_t *conf, const char *name)
{
    char reason[256];
    return rd_kafka_conf_set(conf, name, "", reason, sizeof reason) != RD_KAFKA_CONF_UNKNOWN;
}

static void print_kafka(const struct settings *settings, FILE *out)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    fprintf(out, "# Handed to librdkafka as they stand.\n[kafka]\n");
    for (size_t i = 0; i < settings->kafka_count; i++) {
        const char *written = settings->kafka_values[i].written;
        bool is_file = written[0] == '@' && written[1] != '@';
        const char *name = settings->kafka[i].name;
        bool is_secret =
            !is_file && (settings_secret_is_name(name) || settings_secret_is_value(written) || !is_property(conf, name));
        fprintf(out, "%s = ", name);
        print_line(is_secret ? "********" : written, out);
        putc('\n', out);
    }
    rd_kafka_conf_destroy(conf);
}

static void print_value(const struct setting *setting, const struct settings_value *value, FILE *out)
{
    bool is_file = value->written[0] == '@' && value->written[1] != '@';
    if (strcmp(setting->key, "postgres.dsn") == 0 && !is_file)
        settings_secret_print_dsn(value->text, out);
    else if (!is_file && value->text[0] != '\0' && ((setting->programs & IS_SECRET) != 0 || settings_secret_is_value(value->text)))
        fputs("********", out);
    else
        print_line(value->written, out);
}

void settings_print(const struct settings *settings, unsigned programs, FILE *out)
{
    const char *section = "";
    size_t section_length = 0;
    print_kafka(settings, out);
    for (size_t i = 0; settings_table[i].key != NULL; i++) {
        const struct setting *setting = &settings_table[i];
        if ((setting->programs & programs) == 0)
            continue;
        const char *name = strchr(setting->key, '.') + 1;
        size_t length = (size_t)(name - 1 - setting->key);
        if (length != section_length || strncmp(section, setting->key, length) != 0) {
            section = setting->key;
            section_length = length;
            fprintf(out, "\n[%.*s]\n", (int)length, section);
        }
        fprintf(out, "# %s\n%s = ", setting->help, name);
        print_value(setting, &settings->values[i], out);
        putc('\n', out);
    }
}
