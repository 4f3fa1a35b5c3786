/* llm.h - how long a language model takes: one call's latencies, speed and prompt cache, with realistic tails.
 *
 * Medians and spreads follow the plan's benchmarks: TTFT around 0.6 s, 95 % below 1.6 s, now and then many seconds; 25 to 40 tokens
 * a second; prompt cache hit in about three of four calls.
 */
#ifndef TALLYMILL_PRODUCER_GENERATE_LLM_H
#define TALLYMILL_PRODUCER_GENERATE_LLM_H

struct random;

enum doc_type { DOC_README, DOC_JSDOC, DOC_API, DOC_ARCHITECTURE, DOC_TYPES };

struct llm_call {
    double ttft_ms, tpot_ms, total_ms, tokens_per_second;
    int output_tokens, read_tokens, input_tokens; /* read_tokens from the cache: 0 is a miss */
};

struct llm_call llm_call(struct random *random, enum doc_type doc_type);

#endif
