/* disk.h - how much room the disk of the database has: as statvfs(3) sees it where Postgres's directory lies on this host, else as
 * postgres.disk_size says.
 *
 * Postgres itself tells nobody how full its disk is. So it is asked where its data lies; where that is a directory of this host,
 * the host knows. One thread.
 */
#ifndef TALLYMILL_COMMON_DISK_H
#define TALLYMILL_COMMON_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/error.h"

enum disk_source {
    DISK_UNKNOWN, /* all figures of the room are -1 */
    DISK_SEEN,    /* statvfs of `directory` */
    DISK_SET,     /* postgres.disk_size, less what Postgres says that it holds */
};

struct disk {
    enum disk_source source;
    char directory[256]; /* DISK_SEEN */
    int64_t size_bytes;  /* what Postgres could fill */
    int64_t free_bytes;
    int64_t database_bytes; /* of this database */
    int64_t growth_bytes;   /* of the events a day, by the last two months that have any; 0: nothing grows, or nobody knows */
};

/* size_bytes: postgres.disk_size, 0: not set. Needs no right beyond tallymill_read: without more the directory is not told
 * (pg_read_all_settings), and it is unknown. False: the database did not answer. */
MUST_CHECK bool disk_look(PGconn *conn, int64_t size_bytes, struct disk *disk, struct error *err);

/* The same for who asks in a way of his own: the question, and what its row says. is_near: disk_is_near() of the connection. */
extern const char disk_look_sql[];
void disk_take(const PGresult *row, bool is_near, int64_t size_bytes, struct disk *disk);

/* Whether the server is one of this host: connected by a socket's directory, or to the loopback. */
bool disk_is_near(const PGconn *conn);

/* How many days the room lasts at that growth; -1: nobody knows. */
int64_t disk_days_left(const struct disk *disk);

enum disk_room {
    DISK_ROOMY, /* or nobody knows */
    DISK_SOON,  /* less than two weeks are left */
    DISK_SHORT, /* less than three days, or less than a tenth is free */
};

/* How bad that is: one judgement for all who tell it. */
enum disk_room disk_judge(const struct disk *disk);
int disk_free_percent(const struct disk *disk); /* -1: nobody knows */

#endif
