/* A day's figures against counting by hand, and its memory against its budget. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/budget.h"
#include "aggregator/day.h"
#include "aggregator/identity.h"
#include "aggregator_random.h"
#include "common/error.h"

enum { NAMES = 150, SESSIONS = 40, USERS = 25 };

static struct identity identity;
static struct budget budget;

static void init(void)
{
    struct error err = {0};
    cr_assert(identity_init(&identity, &err));
    budget = (struct budget){.max_bytes = 64 << 20};
}

TestSuite(day, .init = init);

static bool add(struct day *day, const char *name, int session, int user)
{
    struct day_event event = {
        .has_session = session >= 0, .has_user = user >= 0, .session = {(uint64_t)session, 0}, .user = (uint64_t)user};
    if (!day_name(day, name, strlen(name), &event.name) || !day_reserve(day, &event))
        return false;
    day_prefetch(day, &event);
    day_add(day, &event);
    return true;
}

Test(day, has_the_figures_that_counting_gives)
{
    static bool sessions[NAMES][SESSIONS], users[NAMES][USERS];
    static int64_t events[NAMES];
    struct day *day = day_new(20000, &identity, &budget);
    uint64_t state = 1;
    for (int i = 0; i < 60000; i++) {
        uint32_t number = random_below(&state, NAMES);
        int session = (int)random_below(&state, SESSIONS + 1) - 1, user = (int)random_below(&state, USERS + 1) - 1;
        char name[32];
        snprintf(name, sizeof name, "name-%u", number);
        cr_assert(add(day, name, session, user));
        events[number]++;
        if (session >= 0)
            sessions[number][session] = true;
        if (user >= 0)
            users[number][user] = true;
    }
    cr_assert_eq(day->name_count, NAMES);
    for (uint32_t i = 0; i < NAMES; i++) {
        const struct day_name *name = &day->names[i];
        int number;
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)name->text_length, day_name_text(day, name));
        cr_assert_eq(sscanf(text, "name-%d", &number), 1);
        int64_t distinct_sessions = 0, distinct_users = 0;
        for (int j = 0; j < SESSIONS; j++)
            distinct_sessions += sessions[number][j];
        for (int j = 0; j < USERS; j++)
            distinct_users += users[number][j];
        cr_expect_eq(name->events, events[number]);
        cr_expect_eq(name->sessions, distinct_sessions);
        cr_expect_eq(name->users, distinct_users);
    }
    day_free(day);
    cr_expect_eq(budget.used_bytes, 0);
}

Test(day, takes_names_as_bytes)
{
    struct day *day = day_new(1, &identity, &budget);
    uint32_t first, second, third;
    cr_assert(day_name(day, "", 0, &first));
    cr_assert(day_name(day, "a\0b", 3, &second));
    cr_assert(day_name(day, "a\0c", 3, &third));
    cr_expect(first != second && second != third && first != third);
    cr_assert(day_name(day, "a\0b", 3, &first));
    cr_expect_eq(first, second);
    day_free(day);
}

Test(day, counts_what_was_touched_since_it_was_written)
{
    struct day *day = day_new(1, &identity, &budget);
    cr_assert(add(day, "a", 1, 1) && add(day, "b", 1, 1) && add(day, "a", 2, 1));
    cr_expect_eq(day->touched_count, 2);
    day_mark_written(day);
    cr_expect_eq(day->touched_count, 0);
    cr_assert(add(day, "b", 1, 1));
    cr_expect_eq(day->touched_count, 1);
    cr_expect(day->names[1].is_touched && !day->names[0].is_touched);
    day_free(day);
}

Test(day, out_of_budget_refuses_an_event_whole_and_gives_everything_back)
{
    for (size_t max_bytes = 0; max_bytes < 20000; max_bytes += 97) {
        budget = (struct budget){.max_bytes = max_bytes};
        struct day *day = day_new(1, &identity, &budget);
        if (!day)
            continue;
        int64_t added = 0;
        char name[32];
        for (int i = 0; i < 400; i++) {
            snprintf(name, sizeof name, "name-%d", i % 90);
            if (!add(day, name, i, i))
                break;
            added++;
        }
        int64_t events = 0, sessions = 0, users = 0;
        for (uint32_t i = 0; i < day->name_count; i++) {
            events += day->names[i].events;
            sessions += day->names[i].sessions;
            users += day->names[i].users;
        }
        cr_expect(events == added && sessions == added && users == added);
        cr_expect_leq(budget.used_bytes, max_bytes);
        day_free(day);
        cr_expect_eq(budget.used_bytes, 0);
    }
}
