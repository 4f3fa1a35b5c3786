/* session.c - a session's path: from each step to the next, with the time between. See session.h.
 *
 * The probabilities make a funnel like a young product's: of a hundred sessions about seventy load code, sixty generate, forty
 * export, and one pays. They are plain numbers in one function, so that they can be read as the story they tell; a transition
 * matrix would be shorter and say nothing.
 */
#include "producer/generate/session.h"

#include "common/clock.h"

/* However the dice fall, a session ends. */
enum { GENERATIONS_MAX = 12 };

static int64_t delay_us(struct session *session, double median_s, double sigma)
{
    double seconds = random_lognormal(&session->walk, median_s, sigma);
    if (seconds > 1800) /* the tab was left open; a session ends after half an hour */
        seconds = 1800;
    return (int64_t)(seconds * 1e6);
}

void session_init(struct session *session, uint64_t seed, uint64_t number, int64_t start_us, uint32_t users)
{
    *session =
        (struct session){.at_us = start_us, .walk = random_stream(seed, 2 * number), .detail = random_stream(seed, 2 * number + 1)};
    session->person = people_visitor(&session->walk, seed, users);
    session->is_known = false;
    session->is_in_trial = session->person.user_id != 0 && session->person.tier == TIER_FREE && random_chance(&session->walk, 0.05);
    session->new_user_id = 1000000 + (int64_t)(random_next(&session->walk) >> 34);
    uint8_t id[UUID_BYTES];
    for (unsigned i = 0; i < UUID_BYTES; i += 8) {
        uint64_t bits = random_next(&session->detail);
        for (unsigned j = 0; j < 8; j++)
            id[i + j] = (uint8_t)(bits >> (8 * j));
    }
    id[6] = (uint8_t)(0x40 | (id[6] & 0x0f)); /* version 4, as browsers make them */
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    uuid_format(session->session_id, id);
}

static enum step after_start(struct session *session)
{
    double chance = random_unit(&session->walk);
    bool is_stranger = session->person.user_id == 0;
    if (chance < (is_stranger ? 0.13 : 0.62))
        return session->person.method == METHOD_EMAIL ? (is_stranger ? STEP_SIGNUP : STEP_LOGIN) : STEP_OAUTH_STARTED;
    if (!is_stranger) /* the browser still has their login */
        session->is_known = true;
    return chance < 0.94 ? STEP_INPUT : STEP_OVER;
}

static enum step after_login(struct session *session)
{
    session->is_known = true;
    double chance = random_unit(&session->walk);
    if (session->is_in_trial && chance < 0.12)
        return STEP_TRIAL_EXPIRED;
    if (session->person.tier != TIER_FREE && !session->person.is_internal && chance < 0.012)
        return STEP_PLAN_REDUCED;
    return chance < 0.86 ? STEP_INPUT : STEP_OVER;
}

static enum step after_input(struct session *session)
{
    if (session->is_known && session->person.tier >= TIER_PRO && random_chance(&session->walk, 0.14)) {
        session->batch_files = random_between(&session->walk, 2, 24);
        return STEP_BATCH;
    }
    return random_chance(&session->walk, 0.87) ? STEP_GENERATE : STEP_OVER;
}

/* What a generation will be is drawn when it begins: its time is when it ended. */
static void generate(struct session *session)
{
    session->generations++;
    session->is_success = random_chance(&session->walk, 0.955);
    session->call = llm_call(&session->walk, session->doc_type);
}

static enum step after_success(struct session *session)
{
    double chance = random_unit(&session->walk);
    if (chance < 0.62)
        return STEP_EXPORT;
    return chance < 0.82 ? STEP_GENERATE : chance < 0.94 ? STEP_INPUT : chance < 0.96 ? STEP_PRICING : STEP_OVER;
}

/* The document is done and seen: again, another one, the wish for a bigger plan, or the end. */
static enum step after_export(struct session *session)
{
    double chance = random_unit(&session->walk);
    if (session->generations >= 6)
        return STEP_OVER;
    if (chance < 0.16)
        return STEP_GENERATE;
    if (chance < 0.38)
        return STEP_INPUT;
    if (session->person.tier == TIER_FREE && session->generations >= 2 && chance < 0.44)
        return STEP_ALERT;
    return chance > 0.97 && session->person.tier < TIER_TEAM ? STEP_PRICING : STEP_OVER;
}

static enum step choose(struct session *session)
{
    struct random *walk = &session->walk;
    switch (session->step) {
    case STEP_START: return after_start(session);
    case STEP_OAUTH_STARTED: session->oauth_ms = 400 + (int)random_lognormal(walk, 2600, 0.6); return STEP_OAUTH_DONE;
    case STEP_OAUTH_DONE:
        if (session->oauth_ms > 9000) /* they gave up; session_write says so */
            return random_chance(walk, 0.4) ? STEP_INPUT : STEP_OVER;
        return session->person.user_id == 0 ? STEP_SIGNUP : STEP_LOGIN;
    case STEP_LOGIN: return after_login(session);
    case STEP_SIGNUP:
        session->person.user_id = session->new_user_id;
        session->is_known = true;
        session->is_in_trial = random_chance(walk, 0.45);
        return session->is_in_trial ? STEP_TRIAL_STARTED : STEP_INPUT;
    case STEP_TRIAL_STARTED: return STEP_INPUT;
    case STEP_TRIAL_EXPIRED: session->is_in_trial = false; return random_chance(walk, 0.4) ? STEP_PRICING : STEP_INPUT;
    case STEP_PLAN_REDUCED: return random_chance(walk, 0.4) ? STEP_INPUT : STEP_OVER;
    case STEP_INPUT: return after_input(session);
    case STEP_BATCH: return STEP_BATCH_SEEN;
    case STEP_BATCH_SEEN: return random_chance(walk, 0.5) ? STEP_GENERATE : STEP_OVER;
    case STEP_GENERATE: return session->is_success ? STEP_PERFORMANCE : STEP_FAILED;
    case STEP_FAILED: return random_chance(walk, 0.65) ? STEP_GENERATE : STEP_OVER;
    case STEP_PERFORMANCE: return random_chance(walk, 0.92) ? STEP_QUALITY : after_success(session);
    case STEP_QUALITY:
        if (session->is_regeneration)
            return STEP_REGENERATED;
        return random_chance(walk, 0.2) ? STEP_BREAKDOWN : after_success(session);
    case STEP_BREAKDOWN:
    case STEP_REGENERATED: return after_success(session);
    case STEP_EXPORT: return after_export(session);
    case STEP_ALERT: return random_chance(walk, 0.35) ? STEP_PRICING : STEP_OVER;
    case STEP_PRICING: return random_chance(walk, 0.38) ? STEP_UPGRADE_CLICKED : STEP_OVER;
    case STEP_UPGRADE_CLICKED:
        return session->is_known && session->person.tier < TIER_TEAM && random_chance(walk, 0.6) ? STEP_CHECKOUT : STEP_OVER;
    case STEP_CHECKOUT: return random_chance(walk, 0.7) ? STEP_PAID : STEP_OVER;
    case STEP_PAID: return STEP_UPGRADED;
    case STEP_UPGRADED: session->person.tier++; return session->is_in_trial ? STEP_TRIAL_CONVERTED : STEP_OVER;
    case STEP_TRIAL_CONVERTED:
    case STEP_OVER: break;
    }
    return STEP_OVER;
}

/* How long after the event before. */
static int64_t pause_us(struct session *session, enum step from)
{
    switch (session->step) {
    case STEP_OAUTH_DONE: return session->oauth_ms * INT64_C(1000);
    case STEP_LOGIN: return delay_us(session, from == STEP_OAUTH_DONE ? 0.15 : 12, 0.5);
    case STEP_GENERATE:
        return delay_us(session, 9, 0.9) +
               (int64_t)(session->is_success ? session->call.total_ms : session->call.ttft_ms * 4) * 1000;
    case STEP_BATCH: return delay_us(session, 15, 0.7) + session->batch_files * INT64_C(14) * CLOCK_SECOND_US;
    case STEP_FAILED:
    case STEP_PERFORMANCE:
    case STEP_QUALITY:
    case STEP_REGENERATED:
    case STEP_BATCH_SEEN:
    case STEP_TRIAL_STARTED:
    case STEP_TRIAL_EXPIRED:
    case STEP_UPGRADED:
    case STEP_TRIAL_CONVERTED: return delay_us(session, 0.06, 0.5);
    case STEP_INPUT: return delay_us(session, 26, 0.9);
    case STEP_PAID: return delay_us(session, 55, 0.5);
    default: return delay_us(session, 14, 0.9);
    }
}

void session_advance(struct session *session)
{
    static const uint8_t doc_type_weights[DOC_TYPES] = {46, 28, 17, 9};
    enum step from = session->step;
    if (session->events_left > 0 && --session->events_left == 0) {
        session->step = STEP_OVER;
        return;
    }
    session->step = choose(session);
    if (session->step == STEP_GENERATE && session->generations == GENERATIONS_MAX)
        session->step = STEP_OVER;
    if (session->step == STEP_INPUT) {
        session->language = people_pick_language(&session->person, &session->walk);
        session->doc_type = (enum doc_type)random_pick(&session->walk, doc_type_weights, 100);
    }
    if (session->step == STEP_GENERATE) {
        session->is_regeneration = from != STEP_INPUT && from != STEP_BATCH_SEEN;
        generate(session);
    }
    session->at_us += pause_us(session, from);
}
