/* session_events.c - what each event of a session holds: the plan's attributes and action values. See session.h.
 *
 * One function an event, in the plan's order, with the attribute names of schemas/catalogue.json; a test compares the two.
 */
#include "producer/generate/session.h"

#include <stdio.h>

#include <tallymill/producer.h>

#define PICK(session, list) (list)[random_below(&(session)->detail, sizeof(list) / sizeof *(list))]

const char *session_doc_type(enum doc_type doc_type)
{
    static const char *const names[DOC_TYPES] = {"README", "JSDOC", "API", "ARCHITECTURE"};
    return names[doc_type];
}

static void write_filename(struct session *session, struct tally_event *event)
{
    static const char *const stems[] = {"index", "main", "server", "auth", "parser", "utils", "client", "queue", "app", "models"};
    static const char *const suffixes[] = {"js", "py", "ts", "java", "go", "cs", "cpp", "rs", "php", "rb"};
    char filename[32];
    snprintf(filename, sizeof filename, "%s.%s", PICK(session, stems), suffixes[session->language]);
    tally_event_text(event, "filename", filename);
}

static void write_session_start(struct session *session, struct tally_event *event)
{
    static const char *const referrers[] = {
        "direct",    "https://www.google.com/", "https://github.com/", "https://news.ycombinator.com/", "https://dev.to/",
        "newsletter"};
    static const char *const pages[] = {"/", "/", "/", "/pricing", "/docs", "/samples"};
    tally_event_text(event, "referrer", PICK(session, referrers));
    tally_event_text(event, "landing_page", PICK(session, pages));
}

static void write_code_input(struct session *session, struct tally_event *event)
{
    static const char *const origins[] = {"paste", "upload", "sample", "github"};
    static const uint8_t weights[] = {44, 22, 16, 18};
    static const char *const repositories[] = {"acme/api", "acme/web", "lumen/core", "northwind/etl", "octo/cli", "fable/reader"};
    static const char *const branches[] = {"main", "main", "main", "develop"};
    size_t origin = random_pick(&session->detail, weights, 100);
    tally_event_text(event, "origin", origins[origin]);
    tally_event_text(event, "language", people_language(session->language));
    if (origin != 0)
        write_filename(session, event);
    if (origin == 3) {
        tally_event_map(event, "repo");
        tally_event_text(event, "name", PICK(session, repositories));
        tally_event_text(event, "branch", PICK(session, branches));
        tally_event_bool(event, "private", random_chance(&session->detail, 0.3));
        tally_event_end(event);
    }
}

static void write_doc_export(struct session *session, struct tally_event *event)
{
    bool is_copy = random_chance(&session->detail, 0.58);
    tally_event_text(event, "action", is_copy ? "copy" : "download");
    tally_event_text(event, "doc_type", session_doc_type(session->doc_type));
    if (!is_copy) {
        char filename[32];
        snprintf(filename, sizeof filename, "%s.md", session_doc_type(session->doc_type));
        tally_event_text(event, "filename", filename);
    }
    tally_event_text(event, "format", "markdown");
}

static void write_signup(struct session *session, struct tally_event *event)
{
    struct session ahead = *session; /* whether a trial begins is what the walk draws next */
    session_advance(&ahead);
    tally_event_text(event, "method", people_method(session->person.method));
    tally_event_text(event, "tier", people_tier(session->person.tier));
    tally_event_bool(event, "has_trial", ahead.step == STEP_TRIAL_STARTED);
}

static void write_trial(struct session *session, struct tally_event *event)
{
    static const char *const sources[] = {"signup", "pricing_page", "campaign"};
    bool is_start = session->step == STEP_TRIAL_STARTED;
    tally_event_text(event, "action", is_start ? "started" : session->step == STEP_TRIAL_EXPIRED ? "expired" : "converted");
    tally_event_text(event, "source", is_start ? "signup" : PICK(session, sources));
    tally_event_int(event, "days_active",
                    is_start                              ? 0
                    : session->step == STEP_TRIAL_EXPIRED ? 14
                                                          : random_between(&session->detail, 0, 13));
}

static void write_tier_change(struct session *session, struct tally_event *event)
{
    static const char *const why_up[] = {"usage_limit", "batch", "private_repositories", "support"};
    static const char *const why_down[] = {"price", "unused", "missing_feature", "project_ended"};
    enum tier tier = session->person.tier;
    if (session->step == STEP_UPGRADED) {
        tally_event_text(event, "action", "upgrade");
        tally_event_text(event, "previous_tier", people_tier(tier));
        tally_event_text(event, "new_tier", people_tier(tier + 1));
        tally_event_text(event, "reason", PICK(session, why_up));
    } else {
        bool is_cancel = tier == TIER_STARTER || random_chance(&session->detail, 0.5);
        tally_event_text(event, "action", is_cancel ? "cancel" : "downgrade");
        tally_event_text(event, "previous_tier", people_tier(tier));
        tally_event_text(event, "new_tier", people_tier(is_cancel ? TIER_FREE : tier - 1));
        tally_event_text(event, "reason", PICK(session, why_down));
    }
}

static void write_checkout_completed(struct session *session, struct tally_event *event)
{
    static const double amounts[] = {0, 12, 29, 99};
    tally_event_text(event, "tier", people_tier(session->person.tier + 1));
    tally_event_number(event, "amount", amounts[session->person.tier + 1]);
}

static void write_usage_alert(struct session *session, struct tally_event *event)
{
    bool is_warning = random_chance(&session->detail, 0.7);
    tally_event_text(event, "action", is_warning ? "warning_shown" : "limit_hit");
    tally_event_text(event, "tier", people_tier(session->person.tier));
    tally_event_int(event, "percent_used", is_warning ? random_between(&session->detail, 80, 99) : 100);
}

/* latency, throughput and cache: at the root of `performance`, under llm in `doc_generation`. */
static void write_call(const struct llm_call *call, struct tally_event *event)
{
    tally_event_map(event, "latency");
    tally_event_number(event, "ttft", call->ttft_ms);
    tally_event_number(event, "tpot", call->tpot_ms);
    tally_event_number(event, "total", call->total_ms);
    tally_event_end(event);
    tally_event_map(event, "throughput");
    tally_event_number(event, "tokens_per_second", call->tokens_per_second);
    tally_event_end(event);
    tally_event_map(event, "cache");
    tally_event_int(event, "read_tokens", call->read_tokens);
    tally_event_int(event, "input_tokens", call->input_tokens);
    tally_event_end(event);
}

static void write_doc_generation(struct session *session, struct tally_event *event)
{
    tally_event_bool(event, "success", session->is_success);
    tally_event_text(event, "doc_type", session_doc_type(session->doc_type));
    tally_event_text(event, "language", people_language(session->language));
    tally_event_number(event, "duration", session->is_success ? session->call.total_ms : session->call.ttft_ms * 4);
    if (session->is_success) {
        tally_event_map(event, "llm");
        write_call(&session->call, event);
        tally_event_end(event);
    }
}

static void write_batch_generation(struct session *session, struct tally_event *event)
{
    int failed = random_chance(&session->detail, 0.12) ? 1 : 0;
    tally_event_int(event, "file_count", session->batch_files);
    tally_event_int(event, "success_count", session->batch_files - failed);
    tally_event_int(event, "duration", session->batch_files * 14000 + random_between(&session->detail, -900, 900));
}

static void write_quality_score(struct session *session, struct tally_event *event)
{
    int score = 100 - (int)random_lognormal(&session->detail, 14, 0.6);
    if (score < 30)
        score = 30;
    tally_event_int(event, "score", score);
    tally_event_text(event, "grade", score >= 90 ? "A" : score >= 80 ? "B" : score >= 70 ? "C" : score >= 60 ? "D" : "F");
    tally_event_text(event, "doc_type", session_doc_type(session->doc_type));
}

static void write_oauth_flow(struct session *session, struct tally_event *event)
{
    bool is_start = session->step == STEP_OAUTH_STARTED;
    tally_event_text(event, "provider", people_method(session->person.method));
    tally_event_text(event, "action", is_start ? "started" : session->oauth_ms > 9000 ? "failed" : "completed");
    tally_event_int(event, "duration", is_start ? 0 : session->oauth_ms);
}

static void write_interaction(struct session *session, struct tally_event *event, const char *action)
{
    tally_event_text(event, "action", action);
    if (session->step == STEP_BREAKDOWN || session->step == STEP_REGENERATED)
        tally_event_text(event, "doc_type", session_doc_type(session->doc_type));
    if (session->step == STEP_BATCH_SEEN)
        tally_event_int(event, "file_count", session->batch_files);
    if (session->step == STEP_UPGRADE_CLICKED || session->step == STEP_CHECKOUT)
        tally_event_text(event, "tier", people_tier(session->person.tier));
}

static void write_error(struct session *session, struct tally_event *event)
{
    static const struct {
        const char *type, *message;
    } errors[] = {{"llm_timeout", "The model did not answer within 60 s"},
                  {"rate_limited", "429 Too Many Requests"},
                  {"overloaded", "529 Overloaded"},
                  {"input_too_long", "The code is longer than the model's context"},
                  {"network", "connection reset by peer"}};
    size_t which = random_below(&session->detail, sizeof errors / sizeof *errors);
    tally_event_text(event, "error_type", errors[which].type);
    tally_event_text(event, "error_message", errors[which].message);
    tally_event_map(event, "context");
    tally_event_text(event, "doc_type", session_doc_type(session->doc_type));
    tally_event_text(event, "language", people_language(session->language));
    tally_event_int(event, "attempt", session->generations);
    tally_event_end(event);
}

static const char *const event_names[] = {
    [STEP_START] = "session_start",
    [STEP_OAUTH_STARTED] = "oauth_flow",
    [STEP_OAUTH_DONE] = "oauth_flow",
    [STEP_LOGIN] = "login",
    [STEP_SIGNUP] = "signup",
    [STEP_TRIAL_STARTED] = "trial",
    [STEP_TRIAL_EXPIRED] = "trial",
    [STEP_PLAN_REDUCED] = "tier_change",
    [STEP_INPUT] = "code_input",
    [STEP_BATCH] = "batch_generation",
    [STEP_BATCH_SEEN] = "user_interaction",
    [STEP_GENERATE] = "doc_generation",
    [STEP_FAILED] = "error",
    [STEP_PERFORMANCE] = "performance",
    [STEP_QUALITY] = "quality_score",
    [STEP_BREAKDOWN] = "user_interaction",
    [STEP_REGENERATED] = "user_interaction",
    [STEP_EXPORT] = "doc_export",
    [STEP_ALERT] = "usage_alert",
    [STEP_PRICING] = "user_interaction",
    [STEP_UPGRADE_CLICKED] = "user_interaction",
    [STEP_CHECKOUT] = "user_interaction",
    [STEP_PAID] = "checkout_completed",
    [STEP_UPGRADED] = "tier_change",
    [STEP_TRIAL_CONVERTED] = "trial",
};

static void write_attributes(struct session *session, struct tally_event *event)
{
    switch (session->step) {
    case STEP_START: write_session_start(session, event); break;
    case STEP_OAUTH_STARTED:
    case STEP_OAUTH_DONE: write_oauth_flow(session, event); break;
    case STEP_LOGIN: tally_event_text(event, "method", people_method(session->person.method)); break;
    case STEP_SIGNUP: write_signup(session, event); break;
    case STEP_TRIAL_STARTED:
    case STEP_TRIAL_EXPIRED:
    case STEP_TRIAL_CONVERTED: write_trial(session, event); break;
    case STEP_PLAN_REDUCED:
    case STEP_UPGRADED: write_tier_change(session, event); break;
    case STEP_INPUT: write_code_input(session, event); break;
    case STEP_BATCH: write_batch_generation(session, event); break;
    case STEP_BATCH_SEEN: write_interaction(session, event, "batch_generation_complete"); break;
    case STEP_GENERATE: write_doc_generation(session, event); break;
    case STEP_FAILED: write_error(session, event); break;
    case STEP_PERFORMANCE: write_call(&session->call, event); break;
    case STEP_QUALITY: write_quality_score(session, event); break;
    case STEP_BREAKDOWN: write_interaction(session, event, "view_quality_breakdown"); break;
    case STEP_REGENERATED: write_interaction(session, event, "regeneration_complete"); break;
    case STEP_EXPORT: write_doc_export(session, event); break;
    case STEP_ALERT: write_usage_alert(session, event); break;
    case STEP_PRICING: write_interaction(session, event, "pricing_page_viewed"); break;
    case STEP_UPGRADE_CLICKED: write_interaction(session, event, "upgrade_cta_clicked"); break;
    case STEP_CHECKOUT: write_interaction(session, event, "checkout_started"); break;
    case STEP_PAID: write_checkout_completed(session, event); break;
    case STEP_OVER: break;
    }
}

void session_write(struct session *session, struct tally_event *event)
{
    uint8_t id[UUID_BYTES];
    uint64_t random_a = random_next(&session->detail), random_b = random_next(&session->detail);
    uuid_make_v7_from(id, session->at_us, random_a, random_b);
    tally_event_begin(event, event_names[session->step]);
    tally_event_set_id(event, id);
    tally_event_created(event, session->at_us);
    tally_event_session(event, session->session_id);
    /* A stranger has no id, and somebody whose login is still to come none yet. */
    if (session->is_known || session->step == STEP_LOGIN)
        tally_event_user(event, session->person.user_id);
    if (session->step == STEP_SIGNUP)
        tally_event_user(event, session->new_user_id);
    tally_event_internal(event, session->person.is_internal);
    write_attributes(session, event);
}
