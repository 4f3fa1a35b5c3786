/* docs/settings.md tells every setting as the table does. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/settings.h"
#include "common/settings_file.h"

#ifndef SOURCE_DIR
#define SOURCE_DIR "." /* the build says where; without it the file is only looked at, by an editor or a linter */
#endif

static char *page;

static void read_page(void)
{
    struct error err = {0};
    page = settings_file_text(SOURCE_DIR "/docs/settings.md", 256 * 1024, &err);
    cr_assert_not_null(page, "%s", err.text);
}

static void free_page(void)
{
    free(page);
}

Test(settings_docs, name_every_key_with_its_default_and_help, .init = read_page, .fini = free_page)
{
    for (const struct setting *setting = settings_table; setting->key != NULL; setting++) {
        char row[512];
        snprintf(row, sizeof row, "| `%s` | %s%s%s | %s", setting->key, setting->fallback[0] != '\0' ? "`" : "",
                 setting->fallback[0] != '\0' ? setting->fallback : "empty", setting->fallback[0] != '\0' ? "`" : "",
                 setting->help);
        cr_expect_not_null(strstr(page, row), "docs/settings.md has no row: %s", row);
    }
}

Test(settings_docs, name_no_key_that_is_not_there, .init = read_page, .fini = free_page)
{
    for (const char *row = strstr(page, "\n| `"); row != NULL; row = strstr(row + 1, "\n| `")) {
        const char *key = row + 4, *end = strchr(key, '`');
        cr_assert_not_null(end);
        size_t length = (size_t)(end - key);
        bool found = strncmp(key, "kafka.", 6) == 0;
        for (const struct setting *setting = settings_table; setting->key != NULL && !found; setting++)
            found = strlen(setting->key) == length && strncmp(setting->key, key, length) == 0;
        cr_expect(found, "docs/settings.md has a row for %.*s", (int)length, key);
    }
}

/* Whether a row of "What is taken at once" names the key, by itself or as all of its section: `window.*`. */
static bool is_in_row(const char *row, const char *key)
{
    const char *end = strchr(row, '\n');
    char alone[128], section[128];
    cr_assert_not_null(end);
    snprintf(alone, sizeof alone, "`%s`", key);
    snprintf(section, sizeof section, "`%.*s.*`", (int)strcspn(key, "."), key);
    return memmem(row, (size_t)(end - row), alone, strlen(alone)) || memmem(row, (size_t)(end - row), section, strlen(section));
}

Test(settings_docs, say_which_keys_a_running_program_takes, .init = read_page, .fini = free_page)
{
    static const unsigned programs[] = {FOR_CONSUMER, FOR_AGGREGATOR};
    const char *table = strstr(page, "What is taken at once:");
    const char *both = table ? strstr(table, "\n| both |") : NULL;
    const char *own[] = {table ? strstr(table, "\n| worker |") : NULL, table ? strstr(table, "\n| aggregator |") : NULL};
    cr_assert(both && own[0] && own[1]);
    for (const struct setting *setting = settings_table; setting->key != NULL; setting++)
        for (int i = 0; i < 2; i++) {
            const bool is_read = (setting->programs & programs[i]) != 0;
            const bool is_told = is_in_row(both + 1, setting->key) || (is_read && is_in_row(own[i] + 1, setting->key));
            cr_expect_eq(is_told, settings_is_live(setting, programs[i]), "%s", setting->key);
        }
}

Test(settings_table, has_a_section_a_help_line_and_a_program_in_each_row)
{
    for (const struct setting *setting = settings_table; setting->key != NULL; setting++) {
        cr_expect_not_null(strchr(setting->key, '.'), "%s", setting->key);
        cr_expect_neq(setting->programs, 0u, "%s", setting->key);
        cr_expect(setting->help != NULL && strlen(setting->help) > 10 && strchr(setting->help, '\n') == NULL, "%s", setting->key);
        cr_expect_neq(strncmp(setting->key, "kafka.", 6), 0, "%s", setting->key);
        for (const struct setting *other = settings_table; other < setting; other++)
            cr_expect_str_neq(other->key, setting->key);
    }
}
