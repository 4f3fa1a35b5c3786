/* zone.c - see zone.h.
 *
 * localtime_r() by TZ, and not mktime(): that answers something for times that are not there or there twice. The offsets that are
 * in force a day before and a day behind are tried; a time is what each of them says if it is then in force.
 *
 * A day on which they are the same has one offset all day, which is remembered: files are mostly in order.
 */
#include "producer/import/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/nearest.h"
#include "common/utf8.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"

enum { NAMES_MAX = 2048, AROUND_S = 26 * 3600, DAY_S = 86400 };

struct zone {
    bool has_day; /* all of `day` has `offset_s` */
    int64_t day, offset_s;
};

static bool is_zone_file(const char *name)
{
    char path[256], magic[4];
    if (*name == '\0' || *name == '/' || strstr(name, "..") != NULL ||
        snprintf(path, sizeof path, ZONE_FOLDER "/%s", name) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The third column of zone1970.tab. */
static size_t read_names(char *names[NAMES_MAX])
{
    char line[512];
    size_t count = 0;
    FILE *file = fopen(ZONE_FOLDER "/zone1970.tab", "re");
    while (file != NULL && count < NAMES_MAX && fgets(line, sizeof line, file) != NULL) {
        char *left = NULL;
        if (line[0] == '#' || strtok_r(line, "\t\n", &left) == NULL || strtok_r(NULL, "\t\n", &left) == NULL)
            continue;
        const char *name = strtok_r(NULL, "\t\n", &left);
        if (name != NULL && (names[count] = strdup(name)) != NULL)
            count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static void refuse(const char *name, struct error *err)
{
    char *names[NAMES_MAX];
    size_t count = read_names(names);
    const char *nearest = nearest_word(name, (const char *const *)names, count);
    for (size_t i = 0; nearest == NULL && i < count; i++) { /* "Berlin" */
        const char *city = strrchr(names[i], '/');
        if (city != NULL && strcasecmp(city + 1, name) == 0)
            nearest = names[i];
    }
    if (count == 0)
        error_set(err, ERROR_USAGE, "no time zones are installed (" ZONE_FOLDER "): install the package tzdata, or say UTC");
    else
        error_set(err, ERROR_USAGE, "'%.*s' is no time zone%s%s: say UTC or a name such as Europe/Berlin (" ZONE_FOLDER ")",
                  UTF8_CUT(name, 60), nearest == NULL ? "" : ", did you mean ", nearest == NULL ? "" : nearest);
    while (count > 0)
        free(names[--count]);
}

struct zone *zone_open(const char *name, struct error *err)
{
    char setting[256];
    bool is_utc = strcmp(name, "UTC") == 0;
    if (!is_utc && !is_zone_file(name)) {
        refuse(name, err);
        return NULL;
    }
    struct zone *zone = calloc(1, sizeof *zone);
    snprintf(setting, sizeof setting, is_utc ? "UTC0" : ":" ZONE_FOLDER "/%s", name);
    if (zone == NULL || setenv("TZ", setting, 1) != 0) {
        error_set(err, ERROR_RETRY, "no memory");
        free(zone);
        return NULL;
    }
    tzset();
    return zone;
}

void zone_close(struct zone *zone)
{
    free(zone);
}

static int64_t offset_at(int64_t wall_s)
{
    time_t time = (time_t)wall_s;
    struct tm local;
    return localtime_r(&time, &local) == NULL ? 0 : local.tm_gmtoff;
}

static bool is_in_force(int64_t offset_s, int64_t local_s)
{
    return offset_at(local_s - offset_s) == offset_s;
}

enum zone_answer zone_find(struct zone *zone, int64_t local_us, int64_t *wall_us)
{
    int64_t day = clock_day_of(local_us);
    if (!zone->has_day || zone->day != day) {
        int64_t before = offset_at(day * DAY_S - AROUND_S), behind = offset_at((day + 1) * DAY_S + AROUND_S);
        zone->has_day = before == behind && offset_at(day * DAY_S + DAY_S / 2) == before;
        zone->day = day;
        zone->offset_s = before;
        if (!zone->has_day) {
            int64_t local_s = day * DAY_S + (local_us - day * CLOCK_DAY_US) / CLOCK_SECOND_US;
            bool is_before = is_in_force(before, local_s), is_behind = is_in_force(behind, local_s);
            if (before != behind && is_before && is_behind)
                return ZONE_REPEATED;
            if (!is_before && !is_behind)
                return ZONE_SKIPPED;
            *wall_us = local_us - (is_before ? before : behind) * CLOCK_SECOND_US;
            return ZONE_FOUND;
        }
    }
    *wall_us = local_us - zone->offset_s * CLOCK_SECOND_US;
    return ZONE_FOUND;
}
