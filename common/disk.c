/* disk.c - see disk.h.
 *
 * A directory is only taken for the server's where the connection says that it is one of this host: a socket, or an address of the
 * loopback at both ends (a server in a container, or behind a tunnel, sees another). Rejected: a function in an untrusted language,
 * or an extension, which nothing of ours asks for; and df over COPY FROM PROGRAM, which wants a superuser.
 */
#include "common/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "common/postgres.h"
#include "common/utf8.h"

#define ASK_US (10 * CLOCK_SECOND_US)

enum { SHORT_PERCENT = 10, SHORT_DAYS = 3, SOON_DAYS = 14 };

enum { COLUMN_DIRECTORY, COLUMN_HELD, COLUMN_DATABASE, COLUMN_GROWTH };

static int64_t number(const PGresult *result, int column)
{
    return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

bool disk_is_near(const PGconn *conn)
{
    const char *host = PQhost(conn), *address = PQhostaddr(conn);
    return (host && host[0] == '/') || (address && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0));
}

static bool see(struct disk *disk)
{
    struct statvfs room;
    if (disk->directory[0] != '/' || statvfs(disk->directory, &room) != 0) {
        return false;
    }
    const int64_t unit = (int64_t)room.f_frsize;
    disk->free_bytes = (int64_t)room.f_bavail * unit;
    disk->size_bytes =
        (int64_t)(room.f_blocks - room.f_bfree) * unit + disk->free_bytes; /* what root keeps for itself is nobody's room */
    return true;
}

void disk_take(const PGresult *row, bool is_near, int64_t size_bytes, struct disk *disk)
{
    *disk = (struct disk){.size_bytes = -1, .free_bytes = -1};
    disk->database_bytes = number(row, COLUMN_DATABASE);
    disk->growth_bytes = number(row, COLUMN_GROWTH);
    utf8_copy(disk->directory, sizeof disk->directory, PQgetvalue(row, 0, COLUMN_DIRECTORY));
    if (size_bytes > 0) {
        const int64_t held = number(row, COLUMN_HELD);
        disk->source = DISK_SET;
        disk->size_bytes = size_bytes;
        disk->free_bytes = held < size_bytes ? size_bytes - held : 0;
    } else if (is_near && see(disk)) {
        disk->source = DISK_SEEN;
    }
}

bool disk_look(PGconn *conn, int64_t size_bytes, struct disk *disk, struct error *err)
{
    *disk = (struct disk){.size_bytes = -1, .free_bytes = -1};
    PGresult *result = postgres_query(conn, disk_look_sql, ASK_US, err);
    if (!result)
        return error_wrap(err, "asking how much the database holds");
    disk_take(result, disk_is_near(conn), size_bytes, disk);
    PQclear(result);
    return true;
}

int64_t disk_days_left(const struct disk *disk)
{
    return disk->source == DISK_UNKNOWN || disk->growth_bytes <= 0 ? -1 : disk->free_bytes / disk->growth_bytes;
}

int disk_free_percent(const struct disk *disk)
{
    return disk->source == DISK_UNKNOWN || disk->size_bytes <= 0 ? -1
                                                                 : (int)((double)disk->free_bytes / (double)disk->size_bytes * 100);
}

enum disk_room disk_judge(const struct disk *disk)
{
    const int64_t days = disk_days_left(disk);
    const int percent = disk_free_percent(disk);
    if ((percent >= 0 && percent < SHORT_PERCENT) || (days >= 0 && days < SHORT_DAYS))
        return DISK_SHORT;
    return days >= 0 && days < SOON_DAYS ? DISK_SOON : DISK_ROOMY;
}
