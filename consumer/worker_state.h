/* worker_state.h - what the parts of the worker share. Private to worker*.c and outcome.c; the parts with a struct of their own
 * know nothing of it. */
#ifndef TALLYMILL_CONSUMER_WORKER_STATE_H
#define TALLYMILL_CONSUMER_WORKER_STATE_H

#include "common/error.h"
#include "common/health.h"
#include "common/metrics.h"
#include "common/outage.h"
#include "common/transcode.h"
#include "consumer/assignment.h"
#include "consumer/batches.h"
#include "consumer/connection.h"
#include "consumer/flood.h"
#include "consumer/identity.h"
#include "consumer/log_ends.h"
#include "consumer/reaper.h"
#include "consumer/retention.h"
#include "consumer/source.h"
#include "consumer/source_refusal.h"
#include "consumer/transaction.h"
#include "consumer/until_end.h"

enum worker_trouble { TROUBLE_OF_NOTHING, TROUBLE_OF_BATCH, TROUBLE_OF_CLAIM };

/* A Kafka client that is to take the place of the one in use. */
struct renewal {
    struct settings *fresh; /* whose kafka.* it was made of; NULL: there is none */
    rd_kafka_t *handle;
    struct identity proof;
    bool is_proven; /* it takes over as soon as no batch is under way */
    int64_t began_us;
    int64_t looked_us; /* when the files were last read without a SIGHUP */
};

/* What Kafka refuses while the worker runs. */
struct refusal {
    struct outage outage; /* since_us != 0: it is refused */
    struct error why;
    int64_t met_us;           /* when Kafka last refused it */
    rd_kafka_resp_err_t code; /* of the last refusal: of a right, or of a place in the group */
};

struct worker {
    struct settings *settings;
    char owner[160]; /* host, process and instance: shown in tallymill.owners */
    struct catalogue *catalogue;
    struct transcoder *transcoder;
    struct source *source;
    struct connection connection;
    struct assignment assignment;
    struct transaction *transaction;
    struct reaper *reaper;
    struct batches batches;

    int answers_fd;           /* readable when Kafka has answered a question of these: */
    struct identity identity; /* which topic this is */
    struct renewal renewal;
    int64_t watched_us; /* told_us of the last answer that was compared */
    struct refusal refusals[SOURCE_REFUSED_KINDS];
    int64_t refusals_asked_us; /* when Kafka was last asked whether it still refuses */
    int64_t refusals_told_us;  /* to the database; 0: not */
    struct outage kafka_outage;
    int64_t lost_us;        /* when every broker was lost, and none has answered since; 0: not so */
    int64_t proof_since_us; /* the batch under way commits when an answer to a question sent later names assignment.topic_id */

    bool is_open;            /* a transaction is under way, on batches.sending */
    int guesses;             /* of refused rows, since a batch was stored */
    int taken_offsets;       /* how often in a row the books held an offset that was to be stored */
    int failures;            /* of `sending`, one after the other: each batch has its own */
    int months_made;         /* how often its months were made, or were there */
    bool kafka_is_fatal;     /* its last error: this client cannot go on */
    bool queue_is_dry;       /* nothing more to take in this turn, or the group is to be answered first */
    bool reports_due;        /* a batch was committed: positions to tell Kafka, for lag tools */
    int insert_batches_left; /* that go by INSERT ... ON CONFLICT at once */
    bool is_looking_up;      /* those batches go by look-up instead: the table takes no ON CONFLICT */

    int64_t min_age_us;
    int64_t last_commit_us, last_report_us, last_window_us, full_since_us, last_summary_us;
    int64_t read_us;                     /* when Kafka's queue was last read, not paused */
    int64_t last_status_us, status_rows; /* of the last status line: when, and worker->rows then */
    int64_t lag_offsets, lag_us; /* as last sampled: of all that is read, and of the topic partition that is furthest behind */
    int64_t recent_rows, recent_refused; /* of the last 1,000 rows, halved as they age */

    int64_t clock_base_us;    /* wall clock less monotonic clock, at the last comparison with Postgres's that was good */
    int64_t clock_checked_us; /* 0: never */
    bool clock_is_due;        /* compared before anything else */
    bool clock_is_wrong;      /* nothing is read */
    int64_t clock_wrong_since_us, clock_told_us;
    int64_t record_us;    /* the newest time that a broker gave to a record of the last batch; 0: none */
    int64_t record_at_us; /* when it was met */

    int setbacks, claim_setbacks; /* of any batch, and of claims, since a batch was stored (a claim held): for /health and status */
    int64_t reaper_not_before_us; /* the last one could not look */
    char holder[LOCK_TEXT_BYTES]; /* of a lock that the batch under way waits for, or has waited for in vain; "": none is known */
    enum worker_trouble trouble;  /* what was last logged */
    int64_t trouble_told_us;      /* to the database; 0: not */
    int64_t wait_told_us;         /* in the log, that the batch under way waits */
    int64_t stopped_told_us;      /* that topic partitions are stopped; 0: none is, or it was not told yet */

    struct metrics *metrics;
    struct health health;
    struct monitor *monitor; /* NULL: nothing is shown */
    struct retention retention;
    struct flood flood;
    int64_t began_us; /* the transaction under way */
    int64_t last_sample_us, last_times_us, last_second_us, near_retention_at_us;

    struct until_end until_end;

    int64_t rows, duplicates, dead_letters, skipped, commits; /* since the start */
    /* likewise: stored, but not as the catalogue or the wire format says */
    int64_t unknown_events, unknown_keys, broken_attributes;
    int64_t odd_reported;     /* sum of these three, as at the last log line about them */
    int64_t spilled_reported; /* spill_total_bytes(), likewise */
};

/* worker_prove.c: which log is read. A message at a place where an anchor should stand: another one there stops the topic
 * partition. True: it was read for that alone, and is dropped. */
bool worker_meet_anchor(struct worker *worker, struct source_topic_partition *topic_partition, const rd_kafka_message_t *message);
void worker_miss_anchors(struct worker *worker, struct source_topic_partition *topic_partition); /* the end of the log came first */
/* Has the batch under way wait for the proof that its log is the ledger's; lets it go once there is one. */
void worker_hold(struct worker *worker, int64_t now_us);
void worker_prove(struct worker *worker, int64_t now_us);
/* Once a minute, and whenever nothing is stored: is it still the same topic? */
void worker_watch_topic(struct worker *worker, int64_t now_us);
MUST_CHECK bool worker_name_topic(struct worker *worker, struct error *err); /* needs an idle connection */

/* worker_status.c: the unit's status line, now and then; log lines of what is read, and of where it ended. */
void worker_status(struct worker *worker, int64_t now_us);
void worker_log_reading(struct worker *worker);
void worker_log_end(struct worker *worker);

/* worker_read.c: takes what Kafka has, while there is room for it. Polling goes on whatever happens; it is a full batch that keeps
 * messages waiting, and after 2 s reading pauses instead. False: err ends the worker. */
MUST_CHECK bool worker_read(struct worker *worker, int64_t now_us, struct error *err);

/* worker_group.c: what the group is owed while no batch is under way, over the idle connection. */
enum group_answer {
    GROUP_QUIET,  /* nothing is to be done for the group: a batch may begin */
    GROUP_BUSY,   /* something was done, or is waited for: none may */
    GROUP_FAILED, /* err ends the worker */
};
MUST_CHECK enum group_answer worker_answer_group(struct worker *worker, int64_t now_us, struct error *err);
/* What the group takes back: a batch under way goes on by itself, and is fenced off if somebody else has claimed meanwhile. */
void worker_give_back(struct worker *worker);

/* worker_commit.c: the batch under way. worker_begin() sends the one that is due; false: none is under way, for nothing of it is
 * ours any more, or the ledger is read first. worker_pump() moves it on; false: err ends the worker. */
bool worker_begin(struct worker *worker, int64_t now_us);
MUST_CHECK bool worker_pump(struct worker *worker, int64_t now_us, struct error *err);

/* worker_clock.c: the window moves; the clock is compared with Postgres's when that is due (waits, on an idle connection). False:
 * it was wrong for too long. */
void worker_move_window(struct worker *worker, int64_t now_us);
void worker_note_record_time(struct worker *worker, const struct batch *batch, int64_t now_us);
MUST_CHECK bool worker_check_clock(struct worker *worker, int64_t now_us, struct error *err);

/* worker_trouble.c: a batch was not stored, or reading could not begin; or it was: /health and `tallymill status` show it. */
void worker_trouble(struct worker *worker, enum worker_trouble trouble, const struct error *why, int64_t now_us);
void worker_trouble_over(struct worker *worker);
/* The batch under way has waited so long for a lock, or for a standby. holder "": for nothing that is known. */
void worker_trouble_wait(struct worker *worker, const char *holder, int64_t waited_us, int64_t now_us);
/* Each second: topic partitions that are not read are told again and again while they are. */
void worker_trouble_stopped(struct worker *worker, int64_t now_us);

/* Each second: what Kafka refuses, likewise. NULL: nothing. */
void worker_trouble_refused(struct worker *worker, const char *reason, int64_t now_us);

/* worker_refusal.c: what Kafka refuses while the worker runs (a right that was taken away, a group that is full), told once and
 * again after ten minutes, until Kafka grants it again. look(): each second; it may wait for Kafka (1.5 s) while no batch is under
 * way. */
void worker_refusal_init(struct worker *worker);
void worker_refusal_look(struct worker *worker, int64_t now_us);
void worker_refusal_joined(struct worker *worker, int64_t now_us); /* the group has let us in */
void worker_refusal_forget(struct worker *worker, int64_t now_us); /* another client, which was let in, takes over */
bool worker_is_refused(const struct worker *worker);
/* Whether the claim failed for it, which is then told; else it is the caller's to tell. */
bool worker_refusal_of_topic(struct worker *worker, const struct error *why, int64_t now_us);
/* "Kafka does not let this login read the topic: ...", for /health and the status line. "" where nothing is refused. */
const char *worker_refusal_text(const struct worker *worker, char *text, size_t size);

/* worker_reload.c: what a SIGHUP changes. */
void worker_reload(struct worker *worker, int64_t now_us);
struct transcode_rules worker_rules(const struct settings *settings, const struct catalogue *catalogue);

/* worker_renew.c: a new Kafka client when kafka.* or the content of its files has changed. begin() takes `fresh` over; look() once
 * a turn; renew() when no batch is under way, true: it took over, and the next assignment is waited for. */
void worker_renew_begin(struct worker *worker, struct settings *fresh, int64_t now_us);
void worker_renew_look(struct worker *worker, int64_t now_us);
bool worker_renew(struct worker *worker);
void worker_renew_end(struct worker *worker);

/* worker.c */
void worker_drop_connection(struct worker *worker, int64_t now_us);

#endif
