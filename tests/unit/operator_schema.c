/* What migrate makes of the migrations that a database has and those that the program has. */
#include <criterion/criterion.h>
#include <string.h>

#include "operator/schema.h"

static const struct migration migrations[] = {
    {1, "0001_first.sql", "CREATE TABLE first ()", 21, 1},
    {2, "0002_second.sql", "CREATE TABLE second ()", 22, 1},
};

static struct applied_migration applied[3];
static char checksums[3][SCHEMA_CHECKSUM_BYTES];

/* The database as a migrate of this program leaves it. */
static void apply_both(void)
{
    for (int i = 0; i < 2; i++) {
        schema_checksum(checksums[i], migrations[i].sql, migrations[i].length);
        applied[i] = (struct applied_migration){migrations[i].version, migrations[i].name, checksums[i], 1};
    }
    applied[2] = (struct applied_migration){3, "0003_newer.sql", checksums[0], 3};
}

static void is_refused(size_t count, const char *reason)
{
    struct error err = {0};
    cr_assert_not(schema_compare(migrations, 2, applied, count, "events", &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_not_null(strstr(err.text, reason), "%s", err.text);
}

Test(schema, has_an_object_due_that_is_missing_or_another_one)
{
    const struct schema_object object = {.name = "functions/claim.sql", .sql = "", .length = 0, .checksum = "c"};
    cr_expect(schema_is_due(&object, NULL));
}

Test(schema, checksum_is_the_xxh3_128_that_xxhsum_prints)
{
    char checksum[SCHEMA_CHECKSUM_BYTES];
    cr_expect_str_eq(schema_checksum(checksum, "", 0), "99aa06d3014798d86001c324468d497f");
    cr_expect_str_neq(schema_checksum(checksums[0], "a", 1), schema_checksum(checksum, "b", 1));
}

Test(schema, accepts_a_beginning_of_the_programs_migrations, .init = apply_both)
{
    struct error err = {0};
    cr_expect(schema_compare(migrations, 2, applied, 0, "events", &err));
    cr_expect(schema_compare(migrations, 2, applied, 1, "events", &err));
    cr_expect(schema_compare(migrations, 2, applied, 2, "events", &err));
}

Test(schema, refuses_a_migration_that_was_changed_and_names_it, .init = apply_both)
{
    checksums[1][0] ^= 1;
    is_refused(2, "0002_second.sql was changed");
}

Test(schema, refuses_a_database_of_a_newer_release, .init = apply_both)
{
    is_refused(3, "newer release (version 3, this program knows 2)");
}

Test(schema, refuses_a_list_with_a_hole, .init = apply_both)
{
    applied[0] = applied[1];
    is_refused(1, "0001_first.sql was never applied");
}

Test(schema, refuses_a_database_of_another_numbering, .init = apply_both)
{
    applied[0].name = "0001_other.sql";
    is_refused(1, "database events was made before 0.1.0: start anew");
    is_refused(3, "database events was made before 0.1.0: start anew");
}

Test(schema, of_this_program_is_numbered_without_a_hole)
{
    size_t count = 0;
    const struct migration *built_in = postgres_migrations(&count);
    cr_assert_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(built_in[i].version, (int)i + 1);
        cr_expect_eq(strlen(built_in[i].sql), built_in[i].length);
        cr_expect_leq(built_in[i].min_program, (int)count);
    }
}
