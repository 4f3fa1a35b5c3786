/* How long the room on a disk lasts. */
#include <criterion/criterion.h>

#include "common/disk.h"

Test(disk, lasts_for_as_many_days_as_its_room_holds_of_the_growth)
{
    const struct disk disk = {.source = DISK_SET, .size_bytes = 1000, .free_bytes = 95, .growth_bytes = 10};
    cr_expect_eq(disk_days_left(&disk), 9);
}

Test(disk, lasts_for_nobody_knows_how_long_where_nothing_grows_or_the_room_is_unknown)
{
    const struct disk still = {.source = DISK_SEEN, .size_bytes = 1000, .free_bytes = 95},
                      unknown = {.size_bytes = -1, .free_bytes = -1, .growth_bytes = 10};
    cr_expect_eq(disk_days_left(&still), -1);
    cr_expect_eq(disk_days_left(&unknown), -1);
}

Test(disk, is_judged_once_for_all_who_tell_it)
{
    struct disk disk = {.source = DISK_SET, .size_bytes = 1000, .free_bytes = 500, .growth_bytes = 10};
    cr_expect_eq(disk_judge(&disk), DISK_ROOMY);
    cr_expect_eq(disk_free_percent(&disk), 50);
    disk.growth_bytes = 40;
    cr_expect_eq(disk_judge(&disk), DISK_SOON);
    disk.growth_bytes = 200;
    cr_expect_eq(disk_judge(&disk), DISK_SHORT);
    disk.growth_bytes = 0;
    disk.free_bytes = 99;
    cr_expect_eq(disk_judge(&disk), DISK_SHORT, "less than a tenth, however slowly it grows");
    disk.source = DISK_UNKNOWN;
    cr_expect_eq(disk_judge(&disk), DISK_ROOMY);
    cr_expect_eq(disk_free_percent(&disk), -1);
}
