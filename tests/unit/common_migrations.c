/* The SQL files that the program carries are those of the sources. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/postgres.h"
#include "common/settings_file.h"

Test(migrations, are_the_files_of_the_sources_in_order)
{
    size_t count;
    const struct migration *migrations = postgres_migrations(&count);
    cr_assert_geq(count, 4u);
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        char path[512], digits[8];
        snprintf(digits, sizeof digits, "%04d_", migrations[i].version);
        cr_expect_eq(migrations[i].version, (int)i + 1);
        cr_expect_eq(strncmp(migrations[i].name, digits, 5), 0, "%s", migrations[i].name);
        snprintf(path, sizeof path, "%s/schemas/sql/%s", SOURCE_DIR, migrations[i].name);
        char *text = settings_file_text(path, 1024 * 1024, &err);
        cr_assert_not_null(text, "%s", err.text);
        cr_expect_str_eq(migrations[i].sql, text);
        cr_expect_eq(migrations[i].length, strlen(text));
        free(text);
    }
    cr_expect_null(migrations[count].name);
}

Test(migrations, never_ask_for_a_program_that_does_not_exist_yet)
{
    size_t count;
    const struct migration *migrations = postgres_migrations(&count);
    for (size_t i = 0; i < count; i++)
        cr_expect(migrations[i].min_program >= 1 && migrations[i].min_program <= (int)count, "%s", migrations[i].name);
}
