/* The SQL files that the program carries are those of the sources. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/migrations.h"
#include "common/settings_file.h"

Test(migrations, are_the_files_of_the_sources_in_order)
{
    size_t count;
    const struct migration *migrations = postgres_migrations(&count);
    cr_assert_gt(count, 0u);
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

Test(migrations, carry_functions_and_views_as_the_files_of_the_sources)
{
    size_t count;
    const struct schema_object *objects = postgres_schema_objects(&count);
    cr_assert_gt(count, 0u);
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        char path[512], checksum[SCHEMA_CHECKSUM_BYTES];
        snprintf(path, sizeof path, "%s/schemas/%s", SOURCE_DIR, objects[i].name);
        char *text = settings_file_text(path, 1024 * 1024, &err);
        cr_assert_not_null(text, "%s", err.text);
        cr_expect_str_eq(objects[i].sql, text);
        cr_expect_eq(objects[i].length, strlen(text));
        cr_expect_str_eq(objects[i].checksum, schema_checksum(checksum, text, strlen(text)));
        free(text);
    }
    cr_expect_null(objects[count].name);
}

static size_t place_of(const char *name)
{
    size_t count;
    const struct schema_object *objects = postgres_schema_objects(&count);
    size_t i = 0;
    while (i < count && strcmp(objects[i].name, name) != 0)
        i++;
    cr_assert_lt(i, count, "there is no %s", name);
    return i;
}

Test(migrations, put_functions_and_views_behind_those_that_they_name)
{
    cr_expect_lt(place_of("functions/partition_month.sql"), place_of("functions/table_partitions.sql"));
    cr_expect_lt(place_of("functions/table_partitions.sql"), place_of("functions/month_troubles.sql"));
    cr_expect_lt(place_of("functions/claim.sql"), place_of("functions/claim_without_topic_id.sql"));
    cr_expect_lt(place_of("functions/number.sql"), place_of("views/analytics_view_performance.sql"));
    cr_expect_lt(place_of("views/places.sql"), place_of("views/unfolded.sql"));
    cr_expect_lt(place_of("views/settled_events.sql"), place_of("views/day_events.sql"));
    cr_expect_lt(place_of("functions/is_asked.sql"), place_of("views/range_days.sql"));
}

/* A row that another text of checksum "new" made, over one of "old". */
static enum object_state state_of(const char *checksum, const char *by_release, const char *release)
{
    struct schema_object object = {.name = "functions/claim.sql"};
    const struct applied_object row = {.name = object.name, .checksum = "new", .release = by_release, .earlier = "older old"};
    snprintf(object.checksum, sizeof object.checksum, "%s", checksum);
    return schema_object_state(&object, &row, release);
}

Test(migrations, know_an_object_by_its_checksum_whoever_applied_it)
{
    cr_expect_eq(state_of("new", "0.1.0", "0.1.0"), OBJECT_CURRENT);
    cr_expect_eq(state_of("new", "0.9.0", "0.1.0"), OBJECT_CURRENT);
    cr_expect_eq(state_of("new", "", "0.1.0"), OBJECT_CURRENT);
}

Test(migrations, know_an_object_that_has_gone_on_from_the_programs)
{
    cr_expect_eq(state_of("old", "0.1.0", "0.1.0"), OBJECT_NEWER, "it was that once");
    cr_expect_eq(state_of("unknown", "0.2.0", "0.1.0"), OBJECT_NEWER, "a database that never had the older release");
    cr_expect_eq(state_of("unknown", "0.10.0", "0.9.3"), OBJECT_NEWER, "numbers, not letters");
    cr_expect_eq(state_of("unknown", "1.0.0-rc1", "0.9.3"), OBJECT_NEWER);
}

Test(migrations, know_an_object_that_waits_for_migrate)
{
    struct schema_object object = {.name = "functions/claim.sql", .checksum = "unknown"};
    cr_expect_eq(schema_object_state(&object, NULL, "0.1.0"), OBJECT_MISSING);
    cr_expect_eq(state_of("unknown", "0.1.0", "0.1.0"), OBJECT_OLDER);
    cr_expect_eq(state_of("unknown", "0.9.3", "0.10.0"), OBJECT_OLDER);
    cr_expect_eq(state_of("old", "0.1.0", "0.2.0"), OBJECT_OLDER, "a later release took a change back");
    cr_expect_eq(state_of("unknown", "", "0.1.0"), OBJECT_OLDER);
}
