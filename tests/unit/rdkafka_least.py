#!/usr/bin/python3
"""Whatever our code takes of librdkafka by name, the least release has too: else a build against an older one than the bundled ends (Debian 13's), which no daily build shows.

Usage: rdkafka_least.py                     exit code 1, and a line for each name that rdkafka_least.txt does not have
       rdkafka_least.py --renew HEADER...   writes rdkafka_least.txt: of the names that we use those that are in these, the least release's header and that of its mock
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = pathlib.Path(__file__).resolve().with_name("rdkafka_least.txt")
FOLDERS = ("aggregator", "common", "consumer", "operator", "producer", "tests/unit", "tests/installed")
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.DOTALL)
NAME = re.compile(r"\b(?:RD_KAFKA_|rd_kafka_)\w+")


def used():
    """{name: a file that uses it}"""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".hpp", ".cpp"):
                for name in NAME.findall(COMMENT.sub(" ", path.read_text())):
                    found.setdefault(name, path.relative_to(ROOT))
    return found


def main(words):
    names = used()
    if words[:1] == ["--renew"] and len(words) > 1:
        there = {name for header in words[1:] for name in NAME.findall(COMMENT.sub(" ", pathlib.Path(header).read_text()))}
        LIST.write_text("".join(f"{name}\n" for name in sorted(there & set(names))))
    known = set(LIST.read_text().split())
    missing = [name for name in sorted(names) if name not in known]
    for name in missing:
        print(f"{names[name]} uses {name}: is it in the least librdkafka (deploy/librdkafka --least)? If so, rdkafka_least.py --renew with its headers")
    if len(names) < 100:
        print("only %d names found: the sources are not where they were" % len(names))
        return 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
