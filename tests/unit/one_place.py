#!/usr/bin/env python3
"""What is written once in common/ is written nowhere else: each rule's pattern, where it may stand, and a line that it must find.

Planted lines first: a pattern that no longer finds its own is no check. A line of KNOWN that is no longer there must go, too.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("common", "producer", "consumer", "aggregator", "operator")

# what: (pattern, files that may, what to use, lines that it finds, lines that it leaves)
RULES = {
    "an SQLSTATE": (re.compile(r"""sqlstate\b[^;]*,\s*"[0-9A-Z]{2,5}"|\bis_?state\([^;]*"[0-9A-Z]{5}"|"(?:TM\d{3}|[0-9A-Z]{2}P\d{2}|XX\d{3})"|sqlstate\[0\]\s*[!=]=""", re.I),
                    {"common/postgres_error.c", "common/log.c"}, "postgres_is() of common/postgres.h",
                    ['if (strcmp(err->sqlstate, "25006") == 0)', 'strncmp(local.sqlstate, "28", 2) == 0', 'strcpy(seen.sqlstate, "55P03");',
                     'if (is_state(facts, "TM001"))', "if (err->sqlstate[0] == '\\0')"],
                    ['{"session.timeout.ms", "10000"},', "memcpy(err->sqlstate, said.sqlstate, sizeof err->sqlstate);"]),
    "byte order": (re.compile(r"\bhto(?:be|n)|\b(?:be\d\dtoh|ntoh)|__builtin_bswap|<endian\.h>"), {"common/bytes.h", "producer/examples/serve.c"}, "put_64(), get_64() ... of common/bytes.h",
                   ["value = be64toh(value);", "at = htonl(count);", "__builtin_bswap32(value)"], ["put_32(out, rows);"]),
    "UTF-8": (re.compile(r"[<>]=? 0x[fF]4\b|[<>]=? 0x[cC]2\b"), {"common/utf8.h", "common/utf8.c"}, "utf8_character() of common/utf8.h",
              ["if (first < 0xc2 || first > 0xf4)", "first >= 0xC2 && first <= 0xDF ? 2"], ["(text[i] & 0xc0) != 0x80"]),
    "an OID": (re.compile(r"\bOID_\w+ = \d|\b\w+_OID = \d|\bOid \w+(?:\[\w*\])? = \{?\d{2,}|case (?:16|17|2[0135]|1184|2950|3802):"), {"common/oid.h"}, "common/oid.h",
              ["enum { OID_BOOL = 16 };", "enum { INT8_OID = 20, BINARY = 1 };", "static const Oid types[] = {2951, 1184};", "case 1184: return time_json(text);"],
              ["static const Oid types[] = {OID_UUID_ARRAY};", "case OID_BOOL: return true;"]),
    "an array": (re.compile(r"""[?:] '\{'|'\{' :|\? "\{" :"""), {"common/array_text.c", "operator/export_row.c"}, "array_text_add() of common/array_text.h",
                 ['fprintf(out, "%c%d", i ? \',\' : \'{\', count);', 'used == 0 ? "{" : ","', "const char separator = places->count++ > 0 ? ',' : '{';"],
                 ["put(array, '{');", "*open = '{';"]),
    "base64": (re.compile(r"ABCDEFGHIJKLMNOPQRSTUVWXYZabc"), {"common/base64.c"}, "base64_encode() of common/base64.h",
               ['static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh"'], []),
}

# Still to be moved: (file, rule). Their engineers take them out.
KNOWN = {("operator/rollup_file.c", "an array")}


def sources(root=ROOT):
    return sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.[ch]"))


def findings():
    """[(file, line number, rule, line)]"""
    found = []
    for path in sources():
        name = str(path.relative_to(ROOT))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found += [(name, number, rule, line.strip()) for rule, (pattern, allowed, *_) in RULES.items() if name not in allowed and pattern.search(line)]
    return found


def main():
    wrong = [f"the rule of {rule} does not find its own: {line}" for rule, (pattern, _, _, lines, _) in RULES.items() for line in lines if not pattern.search(line)]
    wrong += [f"the rule of {rule} finds what is none: {line}" for rule, (pattern, _, _, _, lines) in RULES.items() for line in lines if pattern.search(line)]
    found = findings()
    wrong += [f"{file}:{number}: {rule} by hand ({RULES[rule][2]}): {line}" for file, number, rule, line in found if (file, rule) not in KNOWN]
    wrong += [f"{file} has {rule} by hand no more: take it out of KNOWN" for file, rule in KNOWN if not any((file, rule) == (f, r) for f, _, r, _ in found)]
    print("\n".join(wrong or [f"{len(RULES)} rules over {len(sources())} files, {len(KNOWN)} places known"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
