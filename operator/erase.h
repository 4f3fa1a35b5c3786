/* erase.h - one run of `tallymill erase`. Private to erase*.c. */
#ifndef TALLYMILL_OPERATOR_ERASE_H
#define TALLYMILL_OPERATOR_ERASE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#include "common/error.h"
#include "operator/archive_books.h"
#include "operator/erase_subject.h"

struct archive_return;
struct archive_store;
struct array_text;
struct erase_archive;
struct settings;

/* A user in one kind of events, external or internal, and the earliest moment there, as Postgres writes it in UTC ("": none), which
 * sorts as text. */
enum { ERASE_MOMENT_BYTES = 40 };
struct erase_seen {
    int64_t user;
    bool is_internal;
    char at[ERASE_MOMENT_BYTES];
};

struct erase_seen_list {
    struct erase_seen *all;
    size_t count, size;
};

#define ERASE_QUERY_US INT64_C(600000000)

/* More than a hundredth of a month wants --yes. */
enum { ERASE_SHARE = 100 };

struct erase_run {
    struct erase_subject subject;
    bool is_dry, is_confirmed, as_json, is_again, takes_undecodable; /* the options */
    int64_t wait_us;
    const struct settings *settings;
    PGconn *conn;
    int64_t erasure;                                     /* its number; 0: nothing is noted (a dry run) */
    int64_t rows, letters, undecodable, perhaps, unread; /* found in this run; undecodable: emptied */
    int64_t kafka_keeps_s;                               /* for so long Kafka keeps what it has; -1: not known, or for ever */
    bool is_complete, is_versioned;                      /* is_versioned: it was said that a store keeps what is deleted */
    struct archive_books books;                          /* conn NULL: a dry run */
    struct erase_archive *archives;                      /* those that were read through */
    int archive_count;
    struct erase_seen_list seen; /* others, whose events archives hold and are to go; then those of whom is told anew */
    json_t *months, *remarks;    /* {"2026-01": rows}; texts: what was not reached */
};

/* Notes what could not be done, or is not reached: in the receipt, and on stderr. */
void erase_remark(struct erase_run *run, bool is_incomplete, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Waits until the ledger has passed what Kafka holds now of its topics. What cannot be is a remark; false: the database failed. */
MUST_CHECK bool erase_wait_for_kafka(struct erase_run *run, struct error *err);

/* What the person has in months that can be read: one row a day (erase_days.sql). NULL: the database failed. */
MUST_CHECK PGresult *erase_find(struct erase_run *run, struct error *err);

/* Refuses more than 100,000 events, or more than a hundredth of a month's, unless that was confirmed. */
MUST_CHECK bool erase_guard(const struct erase_run *run, const PGresult *days, struct error *err);

/* Takes away all events of these days; waits until their statistics are made anew, and frees the room. */
MUST_CHECK bool erase_rows(struct erase_run *run, const PGresult *days, struct error *err);

/* Since when they are known in months that left goes; since when others are, who lose events for they had one of the sessions, is
 * told anew. Before any event goes. */
MUST_CHECK bool erase_first_seen(struct erase_run *run, struct error *err);

/* Adds a moment to a list that has no order yet; finds who is meant in one that erase_first_seen() has sorted, NULL: nobody. */
MUST_CHECK bool erase_seen_add(struct erase_seen_list *list, const struct erase_seen *seen, struct error *err);
struct erase_seen *erase_seen_find(struct erase_seen_list *list, const struct erase_seen *seen);

/* Reads the archives of months that are away through again, for the earliest moment that stays there of each user of the list; what
 * cannot be read is a remark. Then, adds the days on which any of them was there. */
void erase_archives_see(struct erase_run *run);
void erase_archives_add_days(const struct erase_run *run, struct array_text *days);

/* Takes their keys away from the uniques of months that left, and waits until the aggregator has. */
MUST_CHECK bool erase_keys(struct erase_run *run, struct error *err);

/* Empties dead letters; a dry run counts them. */
MUST_CHECK bool erase_letters(struct erase_run *run, struct error *err);

/* Reads the archives through, every row, and counts what they hold of the person; what cannot be read is a remark. Unless it is a
 * dry run, no `tallymill archive` or `restore` works from here on, be there an archive or not: the first may be written
 * meanwhile. */
MUST_CHECK bool erase_archives_look(struct erase_run *run, struct error *err);

/* Months on their way out stay, and are read like the others. */
MUST_CHECK bool erase_archives_stay(struct erase_run *run, struct error *err);

/* Refuses more than a hundredth of a month that is away, or on its way out and in no query; raises *rows by what these hold. */
MUST_CHECK bool erase_archives_guard(const struct erase_run *run, int64_t *rows, struct error *err);

/* Adds what months that are away hold to what a dry run says. */
void erase_archives_count(struct erase_run *run);

/* Takes the person out of archives: each month that is away and holds them comes back, loses their rows, and leaves again; archives
 * that hold them and do not count go. What cannot be is a remark. */
MUST_CHECK bool erase_archives(struct erase_run *run, struct error *err);
void erase_archives_close(struct erase_run *run);

/* An archive of this month is not deleted by this run, whatever it holds. */
void erase_archives_keep(struct erase_run *run, const struct month_name *month);

/* The store that a target names, or, where that cannot be opened or has nothing, the one in which archives are now. */
MUST_CHECK struct archive_store *erase_open_store(struct erase_run *run, const char *target, struct error *err);

/* Once, a remark, where a store keeps versions of what was deleted. */
void erase_tell_versions(struct erase_run *run, const struct archive_store *store);

/* Whether an aggregator leads: without one no month that came back could leave again. */
MUST_CHECK bool erase_is_led(struct erase_run *run, bool *is_led, struct error *err);

/* A month that is away comes back, loses their rows, and leaves again. What cannot be is a remark; *is_going_well false: the month
 * is in Postgres now, so that no other should come. One that could not come back is where it was, and holds up none. */
MUST_CHECK bool erase_renew(struct erase_run *run, const struct month_name *month, bool *is_going_well, struct error *err);

/* The first and the last of these steps. `back`: zeroed, archive_return_close() in any case; its store is the one to leave to. A
 * month waits until the aggregator has made its statistics anew. *is_back false: it could not come back, which is a remark. */
MUST_CHECK bool erase_renew_return(struct erase_run *run, const struct month_name *month, struct archive_return *back,
                                   bool *is_back, struct error *err);
MUST_CHECK bool erase_renew_leave(struct erase_run *run, const struct month_name *month, struct archive_store *store, bool *is_away,
                                  struct error *err);

/* A remark: the month is in Postgres, or on its way out, and its archive as it was. */
void erase_renew_stays(struct erase_run *run, const struct month_name *month, const char *reason);

/* Months that an earlier run had come back, and that have not left again. */
MUST_CHECK bool erase_renew_go_on(struct erase_run *run, bool *is_going_well, struct error *err);

/* Weeks that are to be computed anew, for somebody went from them or was first seen at another time, and of which a month is away:
 * it comes back, both where the week lies in two, the rollups by weeks are computed, and it leaves again. */
MUST_CHECK bool erase_weeks(struct erase_run *run, struct error *err);

/* Names the months that could not be looked into. */
MUST_CHECK bool erase_unreached(struct erase_run *run, struct error *err);

/* The receipt: begun before anything goes, ended when all has. *receipt: as JSON, the caller's. */
MUST_CHECK bool erase_begin(struct erase_run *run, struct error *err);
MUST_CHECK bool erase_end(struct erase_run *run, json_t **receipt, struct error *err);

/* Whether a receipt that was given out is as it was given out: its hash is of what it says. ERROR_USAGE: it is not. */
MUST_CHECK bool erase_receipt_check(struct erase_run *run, const json_t *receipt, struct error *err);

#endif
