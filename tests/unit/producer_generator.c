/* producer_generator.c - the generator: repeatable, exactly as many as asked, with the plan's events, funnel, attributes and days.
 */
#include <criterion/criterion.h>

#include <string.h>

#include <msgpack.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/error.h"
#include "producer/generate/calendar.h"
#include "producer/generate/generator.h"
#include "producer/library/event.h"

#define UNTIL_US INT64_C(1768469400250000) /* Thursday, 2026-01-15 09:30 UTC */

static struct generator_plan plan_of(uint64_t events, uint64_t seed, int days)
{
    return (struct generator_plan){.events = events, .seed = seed, .days = days, .until_us = UNTIL_US};
}

/* A hash over all keys and values. */
static uint64_t hash_of(struct generator_plan plan)
{
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    uint64_t hash = 0;
    while (generator_next(generator, event)) {
        struct event_message message;
        struct tally_error err;
        cr_assert(event_encode(event, &message, &err), "%s", err.text);
        hash =
            XXH3_64bits_withSeed(message.value, message.value_length, XXH3_64bits_withSeed(message.key, message.key_length, hash));
    }
    tally_event_free(event);
    generator_free(generator);
    return hash;
}

Test(generator, the_same_seed_gives_the_same_bytes_and_another_does_not)
{
    cr_assert_eq(hash_of(plan_of(20000, 7, 14)), hash_of(plan_of(20000, 7, 14)));
    cr_assert_neq(hash_of(plan_of(20000, 7, 14)), hash_of(plan_of(20000, 8, 14)));
}

Test(generator, makes_exactly_as_many_as_asked_inside_the_days_asked)
{
    static const struct {
        uint64_t events;
        int days;
    } cases[] = {{1, 1}, {2, 3650}, {17, 1}, {1000, 30}, {50000, 1}};
    struct tally_event *event = tally_event_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct generator_plan plan = plan_of(cases[i].events, 1, cases[i].days);
        struct generator *generator = generator_new(&plan);
        uint64_t made = 0;
        int64_t last_us = 0;
        while (generator_next(generator, event)) {
            made++;
            cr_assert_lt(event->created_at_us, UNTIL_US);
            cr_assert_geq(event->created_at_us, UNTIL_US - cases[i].days * CLOCK_DAY_US);
            cr_assert_geq(event->created_at_us, last_us, "in the order of time");
            last_us = event->created_at_us;
        }
        cr_assert_eq(made, cases[i].events);
        cr_assert(!generator_next(generator, event), "and stays at its end");
        if (cases[i].events >= 1000)
            cr_assert_gt(last_us, UNTIL_US - CLOCK_DAY_US, "they cover the span to its end");
        generator_free(generator);
    }
    tally_event_free(event);
}

Test(generator, a_sparse_history_leaves_days_without_an_event_and_is_as_many_as_asked)
{
    enum { DAYS = 7820, EVENTS = 82000 };
    static bool has_events[2][36500];
    struct tally_event *event = tally_event_new();
    int with_events[2] = {0, 0};
    for (int is_sparse = 0; is_sparse < 2; is_sparse++) {
        struct generator_plan plan = plan_of(EVENTS, 3, DAYS);
        plan.is_sparse = is_sparse == 1;
        struct generator *generator = generator_new(&plan);
        int made = 0;
        for (; generator_next(generator, event); made++) {
            cr_assert_lt(event->created_at_us, UNTIL_US);
            cr_assert_geq(event->created_at_us, UNTIL_US - DAYS * CLOCK_DAY_US);
            bool *day = &has_events[is_sparse][(UNTIL_US - event->created_at_us) / CLOCK_DAY_US];
            with_events[is_sparse] += !*day;
            *day = true;
        }
        cr_assert_eq(made, EVENTS);
        cr_assert(!generator_next(generator, event));
        generator_free(generator);
    }
    cr_expect(with_events[1] > 6800 && with_events[1] < 7200, "%d of %d days", with_events[1], DAYS);
    struct generator_plan plan = plan_of(100, 1, 36500);
    cr_expect_eq(hash_of(plan), hash_of(plan));
    tally_event_free(event);
}

Test(generator, goes_on_in_bounded_memory_where_more_sessions_overlap_than_it_holds)
{
    /* Two million sessions a day would overlap by tens of thousands. Only the beginning is made. */
    struct generator_plan plan = plan_of(UINT64_C(100000000), 1, 1);
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    for (int i = 0; i < 300000; i++)
        cr_assert(generator_next(generator, event));
    tally_event_free(event);
    generator_free(generator);
}

Test(generator, ids_of_a_run_are_all_different_and_sessions_have_texts)
{
    enum { EVENTS = 50000, SLOTS = 1 << 17 };
    static uint64_t seen[SLOTS];
    struct generator_plan plan = plan_of(EVENTS, 3, 14);
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    while (generator_next(generator, event)) {
        uint64_t id = XXH3_64bits(event->id, sizeof event->id) | 1;
        size_t at = id % SLOTS;
        for (; seen[at] != 0; at = (at + 1) % SLOTS)
            cr_assert_neq(seen[at], id);
        seen[at] = id;
        cr_assert_eq(event->session_id_length, 36);
    }
    tally_event_free(event);
    generator_free(generator);
}

/* What an event's sessions come to: sessions in order of their first event of that name. */
struct tally {
    char name[32];
    uint64_t events, sessions;
};

enum { NAMES_MAX = 32 };

static struct tally *tally_of(struct tally *tallies, const char *name, size_t length)
{
    for (size_t i = 0; i < NAMES_MAX; i++) {
        if (tallies[i].name[0] == '\0')
            memcpy(tallies[i].name, name, length);
        if (strlen(tallies[i].name) == length && memcmp(tallies[i].name, name, length) == 0)
            return &tallies[i];
    }
    cr_assert_fail("more than %d names", NAMES_MAX);
    return NULL;
}

/* Counts a session once a name: (session, name) pairs in a big open-addressing set. */
static bool is_first(uint64_t *seen, size_t slots, const struct tally_event *event)
{
    uint64_t pair = XXH3_64bits_withSeed(event->session_id, event->session_id_length,
                                         XXH3_64bits(event->event_name, event->event_name_length)) |
                    1;
    size_t at = pair % slots;
    for (; seen[at] != 0; at = (at + 1) % slots)
        if (seen[at] == pair)
            return false;
    seen[at] = pair;
    return true;
}

Test(generator, all_sixteen_events_occur_and_the_funnel_narrows)
{
    enum { SLOTS = 1 << 19 };
    static uint64_t seen[SLOTS];
    struct tally tallies[NAMES_MAX] = {0};
    struct generator_plan plan = plan_of(200000, 1, 14);
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    uint64_t internal = 0;
    while (generator_next(generator, event)) {
        struct tally *tally = tally_of(tallies, event->event_name, event->event_name_length);
        tally->events++;
        tally->sessions += is_first(seen, SLOTS, event);
        internal += event->is_internal;
    }
    tally_event_free(event);
    generator_free(generator);

    struct error err;
    struct catalogue *catalogue = catalogue_load(NULL, &err);
    cr_assert_not_null(catalogue, "%s", err.text);
    size_t count, on_wire = 0;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count);
    for (size_t i = 0; i < count; i++)
        if (!kinds[i].is_derived) {
            cr_assert_gt(tally_of(tallies, kinds[i].name, kinds[i].name_length)->events, 0, "%s", kinds[i].name);
            on_wire++;
        }
    cr_assert_eq(on_wire, 16);
    catalogue_free(catalogue);

    static const char *const funnel[] = {"session_start", "code_input", "doc_generation",
                                         "performance",   "doc_export", "checkout_completed"};
    for (size_t i = 1; i < sizeof funnel / sizeof *funnel; i++) {
        uint64_t wide = tally_of(tallies, funnel[i - 1], strlen(funnel[i - 1]))->sessions,
                 narrow = tally_of(tallies, funnel[i], strlen(funnel[i]))->sessions;
        cr_assert_lt(narrow, wide, "%s %llu, %s %llu", funnel[i - 1], (unsigned long long)wide, funnel[i],
                     (unsigned long long)narrow);
        cr_assert_gt(narrow, 0);
    }
    cr_assert(internal > 200000 * 0.015 && internal < 200000 * 0.05, "about 3 %% are internal: %llu", (unsigned long long)internal);
}

/* The value at a dotted path of a msgpack map, or NULL. */
static const msgpack_object *find_path(const msgpack_object *map, const char *path)
{
    size_t length = strcspn(path, ".");
    for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
        const msgpack_object_kv *entry = &map->via.map.ptr[i];
        if (entry->key.via.str.size == length && memcmp(entry->key.via.str.ptr, path, length) == 0)
            return path[length] == '.' ? find_path(&entry->val, path + length + 1) : &entry->val;
    }
    return NULL;
}

static void check_type(const struct event_kind *kind, const struct attribute *attribute, const msgpack_object *value)
{
    msgpack_object_type type = value->type;
    bool is_integer = type == MSGPACK_OBJECT_POSITIVE_INTEGER || type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    bool ok = attribute->type == ATTRIBUTE_ANY || (attribute->type == ATTRIBUTE_TEXT && type == MSGPACK_OBJECT_STR) ||
              (attribute->type == ATTRIBUTE_INTEGER && is_integer) ||
              (attribute->type == ATTRIBUTE_NUMBER && (is_integer || type == MSGPACK_OBJECT_FLOAT64)) ||
              (attribute->type == ATTRIBUTE_BOOL && type == MSGPACK_OBJECT_BOOLEAN) ||
              (attribute->type == ATTRIBUTE_MAP && type == MSGPACK_OBJECT_MAP);
    cr_assert(ok, "%s.%s has msgpack type %d", kind->name, attribute->path, (int)type);
    bool is_listed = attribute->values == NULL;
    for (size_t i = 0; !is_listed && attribute->values[i] != NULL; i++)
        is_listed = strlen(attribute->values[i]) == value->via.str.size &&
                    memcmp(attribute->values[i], value->via.str.ptr, value->via.str.size) == 0;
    cr_assert(is_listed, "%s.%s = %.*s", kind->name, attribute->path, (int)value->via.str.size, value->via.str.ptr);
}

Test(generator, every_attribute_of_the_catalogue_occurs_with_its_type_and_values)
{
    struct error err;
    struct catalogue *catalogue = catalogue_load(NULL, &err);
    cr_assert_not_null(catalogue, "%s", err.text);
    static bool occurred[64][32];
    size_t count;
    const struct event_kind *kinds = catalogue_kinds(catalogue, &count);
    struct generator_plan plan = plan_of(50000, 5, 14);
    struct generator *generator = generator_new(&plan);
    struct tally_event *event = tally_event_new();
    while (generator_next(generator, event)) {
        struct event_message message;
        cr_assert(event_encode(event, &message, NULL));
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t at = 0;
        cr_assert_eq(msgpack_unpack_next(&unpacked, message.value, message.value_length, &at), MSGPACK_UNPACK_SUCCESS);
        cr_assert_eq(at, message.value_length);
        const struct event_kind *kind = catalogue_find(catalogue, event->event_name, event->event_name_length);
        cr_assert_not_null(kind);
        const msgpack_object *data = find_path(&unpacked.data, "event_data");
        cr_assert_not_null(data);
        for (size_t i = 0; i < kind->attribute_count; i++) {
            const msgpack_object *value = find_path(data, kind->attributes[i].path);
            if (value != NULL)
                check_type(kind, &kind->attributes[i], value);
            occurred[kind - kinds][i] |= value != NULL;
        }
        msgpack_unpacked_destroy(&unpacked);
    }
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; !kinds[k].is_derived && i < kinds[k].attribute_count; i++)
            cr_assert(occurred[k][i], "%s.%s never occurs", kinds[k].name, kinds[k].attributes[i].path);
    tally_event_free(event);
    generator_free(generator);
    catalogue_free(catalogue);
}

Test(calendar, visits_come_in_order_with_days_nights_and_weekends)
{
    struct calendar *calendar = calendar_new(14, UNTIL_US);
    enum { VISITS = 100000 };
    int64_t last_us = 0;
    int by_hour[24] = {0}, weekend = 0;
    for (int i = 0; i < VISITS; i++) {
        int64_t at_us = calendar_at(calendar, (double)i / VISITS);
        cr_assert_geq(at_us, last_us);
        cr_assert(at_us >= UNTIL_US - 14 * CLOCK_DAY_US && at_us < UNTIL_US);
        last_us = at_us;
        int32_t day = clock_day_of(at_us);
        by_hour[(at_us - day * CLOCK_DAY_US) / (CLOCK_DAY_US / 24)]++;
        weekend += (day + 4) % 7 == 0 || (day + 4) % 7 == 6; /* 1970-01-01 was a Thursday */
    }
    cr_assert_gt(by_hour[14], 4 * by_hour[3], "the afternoon is busier than the night: %d, %d", by_hour[14], by_hour[3]);
    cr_assert(weekend > VISITS / 20 && weekend < VISITS / 5, "weekends are quiet: %d", weekend);
    cr_assert_gt(last_us, UNTIL_US - CLOCK_DAY_US / 24);
    calendar_free(calendar);
}
