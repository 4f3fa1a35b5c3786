/* people.c - see people.h. */
#include "producer/generate/people.h"

#include "producer/generate/random.h"

enum {
    STAFF = 12, /* user ids 1..STAFF */
    FIRST_USER_ID = 1001,
};

static const uint8_t tier_weights[] = {70, 15, 12, 3};
static const uint8_t method_weights[] = {40, 42, 18};
static const uint8_t language_weights[] = {30, 24, 18, 9, 6, 4, 3, 3, 2, 1};

const char *people_tier(enum tier tier)
{
    static const char *const names[] = {"free", "starter", "pro", "team"};
    return names[tier];
}

const char *people_method(enum method method)
{
    static const char *const names[] = {"email", "github", "google"};
    return names[method];
}

const char *people_language(unsigned language)
{
    static const char *const names[] = {"javascript", "python", "typescript", "java", "go", "csharp", "cpp", "rust", "php", "ruby"};
    return names[language];
}

/* The user with that id. */
static struct person user_of(uint64_t seed, int64_t user_id, bool is_internal)
{
    struct random random = random_stream(seed ^ UINT64_C(0x70656f706c65), (uint64_t)user_id);
    struct person person = {.user_id = user_id, .is_internal = is_internal};
    person.tier = is_internal ? TIER_TEAM : (enum tier)random_pick(&random, tier_weights, 100);
    person.method = (enum method)random_pick(&random, method_weights, 100);
    person.language = (unsigned)random_pick(&random, language_weights, 100);
    return person;
}

struct person people_visitor(struct random *random, uint64_t seed, uint32_t users)
{
    double who = random_unit(random);
    if (who < 0.03)
        return user_of(seed, 1 + random_below(random, STAFF), true);
    if (who < 0.38) {
        struct person stranger = user_of(seed, (int64_t)(random_next(random) >> 1), false);
        stranger.user_id = 0;
        stranger.tier = TIER_FREE;
        return stranger;
    }
    /* Some come every day and most rarely: the square of a uniform number favours the low ids. */
    double rank = random_unit(random);
    return user_of(seed, FIRST_USER_ID + (int64_t)(rank * rank * users), false);
}

unsigned people_pick_language(const struct person *person, struct random *random)
{
    return random_chance(random, 0.8) ? person->language : (unsigned)random_pick(random, language_weights, 100);
}
