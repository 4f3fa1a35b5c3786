/* The catalogue: the plan's events as they were built in, and every way in which a file of one's own can be wrong. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/catalogue.h"
#include "common/error.h"
#include "common_temporary.h"

static struct catalogue *built_in(void)
{
    struct error err = {0};
    struct catalogue *catalogue = catalogue_load(NULL, &err);
    cr_assert_not_null(catalogue, "%s", err.text);
    return catalogue;
}

static const struct event_kind *find(const struct catalogue *catalogue, const char *name)
{
    return catalogue_find(catalogue, name, strlen(name));
}

static const struct attribute *find_attribute(const struct event_kind *kind, const char *path)
{
    for (size_t i = 0; kind != NULL && i < kind->attribute_count; i++)
        if (strcmp(kind->attributes[i].path, path) == 0)
            return &kind->attributes[i];
    return NULL;
}

static void expect_values(const struct catalogue *catalogue, const char *event, const char *path, const char *wanted)
{
    const struct attribute *attribute = find_attribute(find(catalogue, event), path);
    cr_assert(attribute != NULL && attribute->values != NULL, "%s %s", event, path);
    char joined[256] = "";
    for (const char *const *value = attribute->values; *value != NULL; value++) {
        strcat(joined, joined[0] != '\0' ? " " : "");
        strcat(joined, *value);
    }
    cr_expect_str_eq(joined, wanted);
    cr_expect_eq(attribute->type, ATTRIBUTE_TEXT);
}

static void expect_refused(const char *text, const char *said)
{
    struct error err = {0};
    const char *path = temporary_text(text);
    cr_assert_null(catalogue_load(path, &err), "%s", text);
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[ERROR_TEXT_BYTES];
    snprintf(wanted, sizeof wanted, "catalogue.file: %s:%s", path, said);
    cr_expect_str_eq(err.text, wanted);
}

Test(catalogue, knows_the_18_events_of_the_plan_with_their_categories)
{
    static const char *const events[][2] = {
        {"session_start", "workflow"},
        {"code_input", "workflow"},
        {"generation_started", "workflow"},
        {"generation_completed", "workflow"},
        {"doc_export", "workflow"},
        {"login", "business"},
        {"signup", "business"},
        {"trial", "business"},
        {"tier_change", "business"},
        {"checkout_completed", "business"},
        {"usage_alert", "business"},
        {"doc_generation", "usage"},
        {"batch_generation", "usage"},
        {"quality_score", "usage"},
        {"oauth_flow", "usage"},
        {"user_interaction", "usage"},
        {"error", "system"},
        {"performance", "system"},
    };
    struct catalogue *catalogue = built_in();
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count);
    cr_assert_eq(count, 18u);
    for (size_t i = 0; i < count; i++) {
        cr_expect_str_eq(kinds[i].name, events[i][0]);
        cr_expect_str_eq(kinds[i].category, events[i][1]);
        cr_expect_eq(kinds[i].name_length, strlen(events[i][0]));
        cr_expect_eq(kinds[i].category_length, strlen(events[i][1]));
        cr_expect_eq(find(catalogue, events[i][0]), &kinds[i]);
        bool is_derived = strncmp(kinds[i].name, "generation_", 11) == 0;
        cr_expect_eq(kinds[i].is_derived, is_derived, "%s", kinds[i].name);
    }
    catalogue_free(catalogue);
}

Test(catalogue, has_the_actions_of_the_plan)
{
    struct catalogue *catalogue = built_in();
    expect_values(catalogue, "code_input", "origin", "paste upload sample github");
    expect_values(catalogue, "doc_export", "action", "copy download");
    expect_values(catalogue, "login", "method", "email github google");
    expect_values(catalogue, "trial", "action", "started expired converted");
    expect_values(catalogue, "tier_change", "action", "upgrade downgrade cancel");
    expect_values(catalogue, "usage_alert", "action", "warning_shown limit_hit");
    expect_values(catalogue, "user_interaction", "action",
                  "view_quality_breakdown pricing_page_viewed upgrade_cta_clicked checkout_started regeneration_complete "
                  "batch_generation_complete");
    cr_expect_null(find_attribute(find(catalogue, "oauth_flow"), "action")->values, "the plan lists none");
    catalogue_free(catalogue);
}

Test(catalogue, has_the_llm_attributes_where_the_statistics_look_for_them)
{
    static const char *const paths[] = {"latency.ttft",      "latency.tpot",      "latency.total", "throughput.tokens_per_second",
                                        "cache.read_tokens", "cache.input_tokens"};
    struct catalogue *catalogue = built_in();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char under_llm[64];
        snprintf(under_llm, sizeof under_llm, "llm.%s", paths[i]);
        const struct attribute *plain = find_attribute(find(catalogue, "performance"), paths[i]);
        const struct attribute *nested = find_attribute(find(catalogue, "doc_generation"), under_llm);
        cr_assert(plain != NULL && nested != NULL, "%s", paths[i]);
        cr_expect_eq(plain->type, nested->type);
        cr_expect_eq(plain->path_length, strlen(paths[i]));
    }
    catalogue_free(catalogue);
}

Test(catalogue, finds_nothing_by_a_name_that_only_begins_or_ends_alike)
{
    struct catalogue *catalogue = built_in();
    cr_expect_null(find(catalogue, "logi"));
    cr_expect_null(find(catalogue, "login_"));
    cr_expect_null(find(catalogue, "Login"));
    cr_expect_null(find(catalogue, ""));
    cr_expect_null(catalogue_find(catalogue, "login\0", 6));
    cr_expect_not_null(catalogue_find(catalogue, "loginX", 5), "the length counts, not a NUL");
    catalogue_free(catalogue);
}

Test(catalogue, built_in_is_the_file_of_the_sources)
{
    struct error err = {0};
    struct catalogue *ours = built_in(), *file = catalogue_load(SOURCE_DIR "/schemas/catalogue.json", &err);
    cr_assert_not_null(file, "%s", err.text);
    size_t count, file_count;
    const struct event_kind *kinds = catalogue_kinds(ours, &count);
    catalogue_kinds(file, &file_count);
    cr_expect_eq(count, file_count);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(find(file, kinds[i].name)->attribute_count, kinds[i].attribute_count);
    catalogue_free(ours);
    catalogue_free(file);
}

Test(catalogue, of_4000_events_finds_each)
{
    char *text = malloc(4000 * 64), *end = text;
    end += sprintf(end, "{\"version\": 1, \"events\": [");
    for (int i = 0; i < 4000; i++)
        end += sprintf(end, "%s{\"name\": \"e%d\", \"category\": \"c\"}", i > 0 ? "," : "", i);
    sprintf(end, "]}");
    struct error err = {0};
    struct catalogue *catalogue = catalogue_load(temporary_text(text), &err);
    cr_assert_not_null(catalogue, "%s", err.text);
    int wrong = 0;
    for (int i = 0; i < 4000; i++) {
        char name[16];
        snprintf(name, sizeof name, "e%d", i);
        const struct event_kind *kind = find(catalogue, name);
        wrong += kind == NULL || strcmp(kind->name, name) != 0;
    }
    cr_expect_eq(wrong, 0);
    cr_expect_null(find(catalogue, "e4000"));
    catalogue_free(catalogue);
    free(text);
}

Test(catalogue, names_the_line_where_json_breaks)
{
    struct error err = {0};
    const char *path = temporary_text("{\n\"version\": 1,\n\"events\": [}\n");
    cr_assert_null(catalogue_load(path, &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "catalogue.file: %s:3: ", path);
    cr_expect_eq(strncmp(err.text, wanted, strlen(wanted)), 0, "%s", err.text);
}

Test(catalogue, names_the_event_that_is_wrong)
{
    expect_refused("{\"version\":1,\"events\":[\n{\"name\":\"a\",\"category\":\"c\"},\n{\"name\":\"a\",\"category\":\"d\"}]}",
                   "2: event a: stands there twice");
    expect_refused("{\"version\":1,\n\"events\":[\n{\"name\":\"b\",\"categry\":\"c\"}]}",
                   "3: event b: unknown key \"categry\"; did you mean \"category\"?");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\"}]}", "1: event b: \"category\" must be a text of 1 to 50 bytes");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"derived\":1}]}",
                   "1: event b: \"derived\" must be true or false");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":[]}]}",
                   "1: event b: \"attributes\" must be an object of \"PATH\": \"TYPE\" or \"PATH\": [\"VALUE\", ...]");
}

Test(catalogue, names_the_attribute_that_is_wrong)
{
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x\":\"int\"}}]}",
                   "1: event b: attribute x: \"int\" is no type (text, integer, number, bool, map, array, any)");
    expect_refused(
        "{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x\":\"boool\"}}]}",
        "1: event b: attribute x: \"boool\" is no type (text, integer, number, bool, map, array, any); did you mean bool");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x\":[]}}]}",
                   "1: event b: attribute x: an empty list of values would refuse every value");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x\":[\"a\",2]}}]}",
                   "1: event b: attribute x: the list of values must hold texts only");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x\":7}}]}",
                   "1: event b: attribute x: must be a type or a list of values");
    expect_refused("{\"version\":1,\"events\":[{\"name\":\"b\",\"category\":\"c\",\"attributes\":{\"x..y\":\"text\"}}]}",
                   "1: event b: attribute x..y: a path is names with dots between them");
}

Test(catalogue, refuses_a_file_that_is_no_catalogue)
{
    expect_refused("[]", " must be an object with \"version\" and \"events\"");
    expect_refused("{\"version\":2,\"events\":[]}", " \"version\" must be 1: this program knows no other");
    expect_refused("{\"version\":1}", " \"events\" must be a list of 1 to 4096 events");
    expect_refused("{\"version\":1,\"events\":[]}", " \"events\" must be a list of 1 to 4096 events");
    expect_refused("{\"version\":1,\"evnts\":[]}", " unknown key \"evnts\"; did you mean \"events\"?");
    expect_refused("{\"version\":1,\"events\":[7]}", " each of \"events\" must be an object");
    expect_refused("{\"version\":1,\"events\":[{}]}", " \"name\" must be a text of 1 to 100 bytes");
}

Test(catalogue, names_the_file_that_cannot_be_read)
{
    struct error err = {0};
    cr_assert_null(catalogue_load("/nonexistent/catalogue.json", &err));
    cr_expect_eq(err.kind, ERROR_USAGE);
    cr_expect_str_eq(err.text, "catalogue.file: /nonexistent/catalogue.json: cannot open: No such file or directory");
}
