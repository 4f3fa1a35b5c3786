/* producer_spool_damage.c - the spool's files, damaged in every way: nothing wrong is sent, and nothing is lost in silence. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/library/spool.h"
#include "producer/library/spool_struct.h"
#include "producer_directory.h"
#include "producer_spooled.h"

enum { SMALL = 12 };

/* The only segment of a spool closed with SMALL messages in it. */
static char *segment_of(const char *path)
{
    static char name[128];
    DIR *directory = opendir(path);
    name[0] = '\0';
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strstr(entry->d_name, ".segment") != NULL)
            snprintf(name, sizeof name, "%s/%.60s", path, entry->d_name);
    closedir(directory);
    return name;
}

static size_t slurp(const char *name, uint8_t *bytes, size_t limit)
{
    int file = open(name, O_RDONLY);
    ssize_t got = read(file, bytes, limit);
    close(file);
    return (size_t)got;
}

static void spill(const char *name, const uint8_t *bytes, size_t length)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_eq(write(file, bytes, length), (ssize_t)length);
    close(file);
}

struct small {
    char path[64], segment[128], state[80];
    uint8_t bytes[4096], state_bytes[8192];
    size_t length, state_length;
};

static void make_small(struct small *small)
{
    strcpy(small->path, new_directory());
    struct spool *spool = open_at(small->path, 1 << 20, false, NULL);
    append(spool, 0, SMALL);
    spool_close(spool);
    strcpy(small->segment, segment_of(small->path));
    snprintf(small->state, sizeof small->state, "%s/state", small->path);
    small->length = slurp(small->segment, small->bytes, sizeof small->bytes);
    small->state_length = slurp(small->state, small->state_bytes, sizeof small->state_bytes);
    cr_assert(small->length > 600 && small->length < sizeof small->bytes);
}

/* Opens what lies there now and reads it: nothing wrong, nothing silent. Then puts everything back. */
static unsigned read_damaged(struct small *small, uint64_t *damaged)
{
    struct spool *spool = open_at(small->path, 1 << 20, false, NULL);
    unsigned read = read_all(spool, 0);
    *damaged = lost.damaged;
    cr_assert_eq(spool->done_before, spool->end, "nothing stands still");
    cr_assert_eq(append(spool, 1000, 3), 3);
    cr_assert_eq(read_all(spool, 1000), 3, "and it goes on");
    cr_assert_eq(lost.damaged, *damaged, "counted once");
    spool_close(spool);
    char *other = segment_of(small->path);
    if (other[0] != '\0')
        unlink(other);
    spill(small->segment, small->bytes, small->length);
    spill(small->state, small->state_bytes, small->state_length);
    return read;
}

Test(spool, a_bit_flipped_anywhere_costs_at_most_its_own_message)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    for (size_t at = 0; at < small.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t copy[sizeof small.bytes];
            memcpy(copy, small.bytes, small.length);
            copy[at] ^= (uint8_t)(1 << bit);
            spill(small.segment, copy, small.length);
            unsigned read = read_damaged(&small, &damaged);
            cr_assert_geq(read, SMALL - 1, "byte %zu", at);
            cr_assert_eq(read + damaged, SMALL, "byte %zu: %u read, %lu lost", at, read, damaged);
        }
    remove_directory(small.path);
}

Test(spool, a_file_cut_at_any_length_loses_the_end_and_counts_it)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    unsigned last = 0;
    for (size_t length = 0; length <= small.length; length++) {
        spill(small.segment, small.bytes, length);
        unsigned read = read_damaged(&small, &damaged);
        cr_assert_geq(read, last, "a longer file holds no less");
        cr_assert_eq(read + damaged, SMALL, "%zu bytes", length);
        last = read;
    }
    cr_assert_eq(last, SMALL);
    remove_directory(small.path);
}

Test(spool, a_damaged_or_missing_state_loses_nothing)
{
    struct small small;
    make_small(&small);
    uint64_t damaged;
    for (size_t at = 0; at < small.state_length; at++) {
        if (small.state_bytes[at] == 0 && at % 64 != 0)
            continue; /* between the slots: one in 64 will do */
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t copy[sizeof small.state_bytes];
            memcpy(copy, small.state_bytes, small.state_length);
            copy[at] ^= (uint8_t)(1 << bit);
            spill(small.state, copy, small.state_length);
            cr_assert_eq(read_damaged(&small, &damaged), SMALL, "byte %zu", at);
            cr_assert_eq(damaged, 0);
        }
    }
    for (size_t length = 0; length < small.state_length; length += 31) {
        spill(small.state, small.state_bytes, length);
        cr_assert_eq(read_damaged(&small, &damaged), SMALL);
    }
    remove_directory(small.path);
}

Test(spool, a_missing_segment_in_the_middle_is_counted)
{
    const char *path = new_directory();
    struct spool *spool = open_at(path, 4 << 20, false, NULL);
    append(spool, 0, 12000);
    cr_assert_geq(spool->segment_count, 3);
    uint64_t first = spool->segments[1].first_sequence, next = spool->segments[2].first_sequence;
    spool_place_remove_segment(&spool->place, first);
    uint64_t recovered;
    spool_close(spool);
    spool = open_at(path, 4 << 20, false, &recovered);
    cr_assert_eq(recovered, 12000);
    unsigned read = read_all(spool, 0);
    cr_assert_eq(lost.damaged, next - first);
    cr_assert_eq(read + lost.damaged, 12000);
    spool_close(spool);
    remove_directory(path);
}

Test(spool, takes_no_record_of_another_segment_for_its_own)
{
    struct small small;
    make_small(&small);
    /* The blocks of a file that was there before, with another seed, behind a header of ours. */
    uint8_t foreign[sizeof small.bytes];
    memcpy(foreign, small.bytes, small.length);
    spool_format_header(foreign, 1, 4711);
    spill(small.segment, foreign, small.length);
    uint64_t damaged;
    cr_assert_eq(read_damaged(&small, &damaged), 0);
    cr_assert_eq(damaged, SMALL);
    remove_directory(small.path);
}
