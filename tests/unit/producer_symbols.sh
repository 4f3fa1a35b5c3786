#!/bin/bash
# The libraries show tally_* and nothing else: an application may have functions of its own by any other name.
# What a sanitizer adds by itself (clang: ___asan_globals_registered, __odr_asan_gen_NAME) is in no release, and its names are reserved.
# Usage: producer_symbols.sh LIBTALLYMILL.SO LIBTALLYMILL.A
set -euo pipefail

shared=$(nm --dynamic --defined-only "$1" | awk '$2 != "A" && $3 !~ /^(tally_|_+(odr_)?asan_)/ { print $3 }')
static=$(nm --extern-only --defined-only "$2" | awk 'NF == 3 && $3 !~ /^(tally_|_+(odr_)?asan_)/ { print $3 }')
public=$(nm --dynamic --defined-only "$1" | awk '$3 ~ /^tally_/' | wc -l)

if [[ -n "$shared$static" ]]; then
    printf 'not ours to export:\n%s\n%s\n' "$shared" "$static" >&2
    exit 1
fi
if ((public < 20)); then
    printf 'only %d public functions\n' "$public" >&2
    exit 1
fi
both() { nm "$@" | awk 'NF == 3 && $3 ~ /^tally_/ { sub(/@.*/, "", $3); print $3 }' | sort; }
if ! diff <(both --dynamic --defined-only "$1") <(both --extern-only --defined-only "$2"); then
    echo 'the static library exports other functions than the shared one' >&2
    exit 1
fi
printf '%d public functions\n' "$public"
