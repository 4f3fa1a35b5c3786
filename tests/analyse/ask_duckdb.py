"""Runs SQL of a page in DuckDB, in the folder that has export/: python ask_duckdb.py DIALECT, the SQL on stdin as JSON {"load": ..., NAME: ...}. On stdout {NAME: rows}.

DIALECT is duckdb, snowflake or bigquery; what is not DuckDB's own is translated by sqlglot. In an environment of its own, since neither is in the distribution.
"""

import datetime
import decimal
import json
import re
import sys

import duckdb
import sqlglot

# Snowflake's cast of a text in a VARIANT has no quotes, DuckDB's cast of a JSON text has them; sqlglot makes the one of the other.
UNQUOTED = re.compile(r"CAST\((\w+) -> ('[^']+') AS (?:TEXT|VARCHAR)\)")


def plain(value):
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()[:10]
    return float(value) if isinstance(value, (decimal.Decimal, float)) else value


def main(dialect):
    pages = json.load(sys.stdin)
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(pages.pop("load"))
    answers = {}
    for name, sql in pages.items():
        if dialect != "duckdb":
            (sql,) = sqlglot.transpile(sql, read=dialect, write="duckdb", error_level=sqlglot.ErrorLevel.RAISE)
            sql = UNQUOTED.sub(r"\1 ->> \2", sql)
        answers[name] = [[plain(value) for value in row] for row in database.execute(sql).fetchall()]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
