#!/bin/bash
# producer_abi.sh notices what breaks programs that are already built, and nothing else: each change below is made to a copy of the header.
# Usage: producer_abi_notices.sh LIBTALLYMILL.SO
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
header=tallymill/producer.h
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# Asks about the header with this change (for sed); what was said is in $said.
answer() {
    rm -rf "$copy/tallymill"
    cp -r "$here/../../producer/include/tallymill" "$copy"
    sed -i "$1" "$copy/$header"
    if cmp -s "$copy/$header" "$here/../../producer/include/$header"; then echo "changes nothing: $1" >&2; exit 1; fi
    said=$("$here/producer_abi.sh" "$library" "$copy" 2>&1)
}

# WHAT ABIDIFF SAYS, CHANGE
noticed() {
    if answer "$2"; then echo "not noticed: $2" >&2; exit 1; fi
    if ! grep -qF "$1" <<<"$said"; then printf 'noticed, but not as "%s": %s\n%s\n' "$1" "$2" "$said" >&2; exit 1; fi
}

library=$1
noticed "1 data member insertion" 's/^    uint64_t recovered;/    uint64_t another;\n&/'
noticed "1 Removed function" '/^TALLY_API void tally_event_null(/d'
noticed "1 Added function" 's/^TALLY_API void tally_event_null(.*/&\nTALLY_API void tally_event_another(struct tally_event *event);/'
noticed "array type subrange 1 changed length from 512 to 256" 's/TALLY_ERROR_BYTES = 512/TALLY_ERROR_BYTES = 256/'
noticed "'tally_fate::TALLY_DROPPED' from value '4' to '5'" 's/^    TALLY_CLOSED,/    TALLY_ANOTHER,\n&/'
noticed "type name changed from 'int' to 'long int'" 's/void (\*log)(void \*context, int level/void (*log)(void *context, long level/'
if ! answer 's/Since tally_open/From tally_open on/'; then printf 'a comment was noticed:\n%s\n' "$said" >&2; exit 1; fi
