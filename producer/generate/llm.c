/* llm.c - see llm.h. */
#include "producer/generate/llm.h"

#include <math.h>

#include "producer/generate/random.h"

/* The plan's output sizes, in tokens. */
static const double output_tokens[DOC_TYPES] = {500, 800, 1200, 2000};

struct llm_call llm_call(struct random *random, enum doc_type doc_type)
{
    struct llm_call call;
    double ttft_ms = random_lognormal(random, 620, 0.55);
    if (random_chance(random, 0.015)) /* the provider is busy: a queue in front of the first token */
        ttft_ms *= 3 + 6 * random_unit(random);
    double tpot_ms = random_lognormal(random, 29, 0.28);
    call.output_tokens = 40 + (int)random_lognormal(random, output_tokens[doc_type], 0.3);
    /* Rounded as an application would report them. The total is the sum of the rounded parts, so that it can be checked. */
    call.ttft_ms = round(ttft_ms);
    call.tpot_ms = round(tpot_ms * 100) / 100;
    call.total_ms = round(call.ttft_ms + call.tpot_ms * call.output_tokens);
    call.tokens_per_second = round(10000 / call.tpot_ms) / 10;
    call.input_tokens = 60 + (int)random_lognormal(random, 380, 0.9);
    call.read_tokens = random_chance(random, 0.76) ? random_between(random, 1700, 2300) : 0;
    return call;
}
