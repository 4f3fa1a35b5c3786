#!/usr/bin/env python3
"""Whoever calls what can fail is warned where the answer is passed over: each such function that a header declares is MUST_CHECK (common/error.h).

What only fills an error, and is false whatever happens, is listed: `return error_set(...)` is what it is for. Planted declarations first.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("common", "producer", "consumer", "aggregator", "operator")
FILLS = {"error_set", "error_wrap", "postgres_error", "kafka_error", "kafka_rights_error", "kafka_trouble_explain", "kafka_trouble_explain_server",
         "lock_watch_explain", "check_found", "archive_folder_failed"}
DECLARED = re.compile(r"^((?:MUST_CHECK )?[a-z][\w \*]*?[ \*])(\w+)\((?:[^;{}()]|\([^;{}()]*\))*?(?<!const )struct (?:tally_)?error \*\w+\)(?: __attribute__[^;]*)?;", re.M)
PLANTED = [("bool batch_failed(const struct batch *batch, const struct error *why);\n", 0), ("bool batch_send(struct batch *batch, struct error *err);\n", 1), ("MUST_CHECK bool batch_send(struct batch *batch, struct error *err);\n", 0),
           ("struct batch *batch_new(bool (*take)(void *context),\n                        struct error *err);\n", 1),
           ("void batch_end(struct batch *batch, struct error *err);\n", 0), ("enum tally_code put(const void *value, struct tally_error *err);\n", 1)]


def faults(text):
    return [found.group(2) for found in DECLARED.finditer(text)
            if not found.group(1).startswith(("MUST_CHECK ", "typedef ", "static ")) and found.group(1) != "void " and found.group(2) not in FILLS]


def main():
    wrong = [f"finds {faults(text)} in: {text}" for text, count in PLANTED if len(faults(text)) != count]
    headers = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.h") if "include" not in path.parts)
    wrong += [f"{path.relative_to(ROOT)}: {name}() can fail and is not MUST_CHECK" for path in headers for name in faults(path.read_text())]
    count = sum(path.read_text().count("MUST_CHECK ") for path in headers)
    print("\n".join(wrong or [f"{count} functions that can fail, in {len(headers)} headers"]))
    return 1 if wrong or count < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
