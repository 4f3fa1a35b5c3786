#!/usr/bin/python3
"""The checker: reads Kafka, Postgres and the acknowledged ids, and gives the verdict on I1 to I4.

It shares no line with the product.  It may run on a live system: what Kafka holds and the ledger has not
reached yet counts as pending, unless --drained says that nothing may be left.

    tests/checker/check.py --settings .stack/settings.ini [--topic T] [--acknowledged FILE] [--drained] [--json]

Exit code: 0 all holds, 1 something is damaged (each damage is named), 2 the check itself could not be made.
"""

import argparse
import configparser
import pathlib
import sys
import uuid

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import psycopg2

from checker.books import Books
from checker.daily import check_daily
from checker.ledger import check_ledger
from checker.outcomes import Outcomes
from checker.topic_log import read_topic
from checker.verdict import Verdict


def check(dsn, topic, read_logs, acknowledged=(), drained=False):
    """The Verdict on one topic; `read_logs()` gives its PartitionLogs and is called once the snapshot stands."""
    verdict = Verdict()
    books = Books(dsn, topic)
    try:
        logs = read_logs()
        next_offsets = check_ledger(verdict, books, logs, drained)
        Outcomes(verdict, books, logs, next_offsets).check(acknowledged)
        check_daily(verdict, books)
    finally:
        books.close()
    return verdict


def check_statistics(dsn, topic):
    """The Verdict on I4 alone, which needs no Kafka and may be asked for at any moment of a run."""
    verdict = Verdict()
    books = Books(dsn, topic)
    try:
        check_daily(verdict, books)
    finally:
        books.close()
    return verdict


def check_system(dsn, bootstrap, topic, acknowledged=(), drained=False):
    """The same against a real Kafka."""
    return check(dsn, topic, lambda: read_topic(bootstrap, topic), acknowledged, drained)


def read_acknowledged(path):
    """The lines `id` or `id topic_partition offset` of a file; raises ValueError naming the line."""
    entries = []
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            try:
                if len(words) == 1:
                    entries.append((str(uuid.UUID(words[0])), None, None))
                else:
                    event_id, topic_partition, offset = words
                    entries.append((str(uuid.UUID(event_id)), int(topic_partition), int(offset)))
            except ValueError as why:
                raise ValueError(f"{path}:{number}: {why}; a line is `id` or `id topic_partition offset`") from None
    return entries


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", metavar="FILE", help="settings.ini of a stack: gives --bootstrap and --dsn")
    parser.add_argument("--bootstrap", metavar="HOST:PORT")
    parser.add_argument("--dsn", metavar="DSN")
    parser.add_argument("--topic")
    parser.add_argument("--acknowledged", metavar="FILE", help="`id` or `id topic_partition offset`, one a line")
    parser.add_argument("--drained", action="store_true", help="the ledger must have reached the end of the topic")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    settings = configparser.ConfigParser(interpolation=None)
    if given.settings and not settings.read(given.settings):
        parser.error(f"{given.settings}: cannot be read")
    given.bootstrap = given.bootstrap or settings.get("kafka", "bootstrap.servers", fallback=None)
    given.dsn = given.dsn or settings.get("postgres", "dsn", fallback=None)
    given.topic = given.topic or settings.get("topics", "events", fallback="analytics-events")
    if not given.bootstrap or given.dsn is None:
        parser.error("give --settings FILE, or --bootstrap and --dsn")
    return given


def main(argv=None):
    given = arguments(argv)
    try:
        acknowledged = read_acknowledged(given.acknowledged) if given.acknowledged else []
        verdict = check_system(given.dsn, given.bootstrap, given.topic, acknowledged, given.drained)
    except (OSError, ValueError, RuntimeError, psycopg2.Error) as why:
        print(f"check: {why}", file=sys.stderr)
        return 2
    print(verdict.as_json() if given.json else verdict.as_text())
    return 0 if verdict.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
