#!/bin/bash
# The library's ABI is the one that is committed as producer/libtallymill.abi: a program that was built with the header of a commit before runs
# with the library of this one.
#
#   producer_abi.sh LIBTALLYMILL.SO [INCLUDE_FOLDER]    exit code 1, and abidiff's report, where they differ
#   producer_abi.sh --renew LIBTALLYMILL.SO             writes the ABI of today's header into producer/libtallymill.abi
#
# What a program relies on is in the header: the functions, and the structs and enums that they take. So abidiff is given a library that is made of
# the header alone, a stub for each function, by gcc and with plain debug information: what is compared depends on no sanitizer or distribution, on
# none of our private types, and on no compiler (clang 19 names the index of an array otherwise, which is a difference to abidiff 2.6). Our own sources are compiled against that header (a function that it does not declare, or not so, is an error), and
# that the real library has these functions, with their versions and its soname, is compared here. libtallymill.so itself was rejected: without
# debug information it says nothing, and with it 200 KiB of private types.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
producer=$here/../../producer
is_renewed=
if [ "${1:-}" = --renew ]; then is_renewed=yes; shift; fi
library=$1 include=${2:-$producer/include}
for tool in abidiff abidw gcc; do
    command -v $tool >/dev/null || { echo "$tool is missing: deploy/packages install build tests" >&2; exit 1; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

soname=$(readelf --dynamic "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
echo '#include <tallymill/producer.h>' | gcc -E -P -I "$include" -x c - |
    sed -zE 's/(__attribute__\(\(visibility\("default"\)\)\)[^;]*);/\1 { __builtin_trap(); }/g' >"$folder/stub.c"
gcc -w -O0 -g -gdwarf-4 -fPIC -shared -nostdlib "-Wl,-soname,$soname" "-Wl,--version-script=$producer/libtallymill.map" -o "$folder/stub.so" "$folder/stub.c"

if [ -n "$is_renewed" ]; then
    abidw --no-architecture --no-corpus-path --no-show-locs --no-comp-dir-path --no-elf-needed --no-parameter-names "$folder/stub.so" |
        sed "s/ path='[^']*'/ path='producer.h'/" >"$producer/libtallymill.abi"
    exit 0
fi

names() { nm --dynamic --defined-only --format=posix "$1" | awk '$1 ~ /^tally_/ { print $1 }' | sort; }
is_same=yes
names "$folder/stub.so" >"$folder/header"
names "$library" >"$folder/library"
if ! difference=$(diff "$folder/header" "$folder/library"); then
    printf 'the header (<) and the library (>) have other functions:\n%s\n' "$difference" >&2
    is_same=
fi
# Every difference counts, the additions too that hurt no program: so that the file always holds what there is to be kept.
if ! abidiff --no-architecture --harmless --no-show-locs "$producer/libtallymill.abi" "$folder/stub.so" >&2; then
    cat >&2 <<'WHY'

The ABI is not the one of producer/libtallymill.abi. A function or enumerator that is new, or a member at the end of a struct that begins with its
size, hurts no program: keep it with `tests/unit/producer_abi.sh --renew build/lib/libtallymill.so` and commit the file. Anything else breaks programs
that are already built: take it back, or make it a new function; before a release nobody has such programs yet, so renew the file and say it in
CHANGELOG.md; after one it needs another soname (SOVERSION in producer/CMakeLists.txt).
WHY
    is_same=
fi
[ -n "$is_same" ]
