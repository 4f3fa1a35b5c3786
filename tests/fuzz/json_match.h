/* json_match.h - does this JSON text say what this msgpack value says? For the reader's fuzzer; shares no code with the reader. */
#ifndef TALLYMILL_FUZZ_JSON_MATCH_H
#define TALLYMILL_FUZZ_JSON_MATCH_H

#include <msgpack.h>

/* The first byte behind the value's JSON at `at`, or NULL where text and value differ. Needs a NUL behind `end`. */
const char *json_match(const char *at, const char *end, const msgpack_object *value);

/* "key":value of one pair. */
const char *json_match_pair(const char *at, const char *end, const msgpack_object_kv *pair);

#endif
