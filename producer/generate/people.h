/* people.h - who visits: users with a tier and habits that stay theirs, staff, and strangers. No state: a user is computed from the
 * seed. */
#ifndef TALLYMILL_PRODUCER_GENERATE_PEOPLE_H
#define TALLYMILL_PRODUCER_GENERATE_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

struct random;

enum tier { TIER_FREE, TIER_STARTER, TIER_PRO, TIER_TEAM };
enum method { METHOD_EMAIL, METHOD_GITHUB, METHOD_GOOGLE };

struct person {
    int64_t user_id; /* 0: a stranger */
    enum tier tier;
    enum method method; /* how they log in */
    unsigned language;  /* the one they mostly use: an index for people_language */
    bool is_internal;
};

/* Somebody comes by. `users` is how many there are beside strangers and staff. */
struct person people_visitor(struct random *random, uint64_t seed, uint32_t users);

const char *people_tier(enum tier tier);
const char *people_method(enum method method);
const char *people_language(unsigned language);
/* One they use now: mostly theirs. */
unsigned people_pick_language(const struct person *person, struct random *random);

#endif
