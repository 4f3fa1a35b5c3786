/* session.h - one visit to the product of the plan: which events happen, in which order, when. What each holds is in
 * session_events.c.
 *
 * A session walks the plan's funnel (session_start, code_input, doc_generation, doc_export) with everything that happens around it.
 * It draws from two streams: `walk` decides what happens and when, `detail` what the attributes say. So a copy of a session can be
 * walked ahead, without writing an event, and finds the same path. No I/O, no allocation.
 */
#ifndef TALLYMILL_PRODUCER_GENERATE_SESSION_H
#define TALLYMILL_PRODUCER_GENERATE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/uuid.h"
#include "producer/generate/llm.h"
#include "producer/generate/people.h"
#include "producer/generate/random.h"

struct tally_event;

enum step {
    STEP_START,
    STEP_OAUTH_STARTED,
    STEP_OAUTH_DONE,
    STEP_LOGIN,
    STEP_SIGNUP,
    STEP_TRIAL_STARTED,
    STEP_TRIAL_EXPIRED,
    STEP_PLAN_REDUCED, /* tier_change: downgrade or cancel */
    STEP_INPUT,
    STEP_BATCH,
    STEP_BATCH_SEEN,
    STEP_GENERATE,
    STEP_FAILED, /* the error behind a generation that failed */
    STEP_PERFORMANCE,
    STEP_QUALITY,
    STEP_BREAKDOWN,
    STEP_REGENERATED,
    STEP_EXPORT,
    STEP_ALERT,
    STEP_PRICING,
    STEP_UPGRADE_CLICKED,
    STEP_CHECKOUT,
    STEP_PAID,
    STEP_UPGRADED,
    STEP_TRIAL_CONVERTED,
    STEP_OVER,
};

struct session {
    int64_t at_us; /* when the event of `step` happens */
    enum step step;
    unsigned events_left; /* it is over after so many, whatever its visitor had in mind; 0: nobody counts */
    struct random walk, detail;
    struct person person;
    int64_t new_user_id; /* who a stranger becomes by signing up */
    bool is_known;       /* logged in */
    bool is_in_trial;
    char session_id[UUID_TEXT_BYTES];

    enum doc_type doc_type;
    unsigned language;
    unsigned generations; /* so far, failed ones too */
    bool is_regeneration;
    bool is_success; /* of the last generation */
    struct llm_call call;
    int oauth_ms, batch_files;
};

/* Session number `number` of a seed, beginning at start_us. */
void session_init(struct session *session, uint64_t seed, uint64_t number, int64_t start_us, uint32_t users);

/* From the event at hand to the next one; step is STEP_OVER behind the last. */
void session_advance(struct session *session);

/* Puts the event at hand into `event`, with its id, time and attributes. */
void session_write(struct session *session, struct tally_event *event);

/* "README", "JSDOC", "API", "ARCHITECTURE". */
const char *session_doc_type(enum doc_type doc_type);

#endif
