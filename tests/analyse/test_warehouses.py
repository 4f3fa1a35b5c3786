"""The queries of docs/analyse over exported files: DuckDB's own as they stand, Snowflake's and BigQuery's translated. Each gives what Postgres gives.

By name only (tests/run analyse): DuckDB and sqlglot are fetched from the package index.
"""

import datetime
import json
import pathlib
import re
import shlex

from integration.harness.program import ROOT, binary, run
from integration.test_analyse_pages import COUNTED, FOLDER, TODAY, queries

ASK = pathlib.Path(__file__).with_name("ask_duckdb.py")
FIRST, LAST = TODAY - datetime.timedelta(days=9), TODAY - datetime.timedelta(days=1)


def of_the_range(text):
    """The page's November as the days of this test."""
    after = LAST + datetime.timedelta(days=1)
    return text.replace("2026-11-01", str(FIRST)).replace("2026-11-30", str(LAST)).replace("2026-12-01", str(after))


def exported(site, folder):
    """The commands of the page, as they stand."""
    commands = re.findall(r"^    (tallymill export .+)$", (FOLDER / "duckdb.md").read_text(), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(of_the_range(command).replace("tallymill.ini", str(site.settings)))
        done = run(["env", "-C", str(folder), binary(words[0]), *words[1:]], 120)
        assert done.code == 0, done


def pages():
    """Dialect: its queries by name."""
    duckdb, snowflake, bigquery = (queries(FOLDER / f"{name}.md") for name in ("duckdb", "snowflake", "bigquery"))
    load = duckdb.pop("load")
    made = {"duckdb": duckdb, "snowflake": snowflake, "bigquery": {name.removesuffix("_files"): sql for name, sql in bigquery.items() if name.endswith("_files")}}
    return {dialect: {"load": load, **found} for dialect, found in made.items()}


def plain(rows):
    """As JSON has them: what is compared is the figure, not the type that a program gives to it."""
    return [[str(value) if isinstance(value, datetime.date) else float(value) if isinstance(value, (int, float)) or hasattr(value, "as_tuple") else value for value in row]
            for row in rows]


def test_each_query_over_exported_files_gives_what_postgres_gives(make_site, tmp_path, python):
    site = make_site(**{"rollups.dir": "", "uniques.subjects": ""})
    assert site.produce("--generate", "6000", "--seed", "5", "--days", "12").code == 0
    site.drain()
    site.fold()
    exported(site, tmp_path)
    counted = {name: plain(site.database.rows(sql.format(first=FIRST, last=LAST).replace("%", "%%"))) for name, sql in COUNTED.items()}
    for dialect, found in pages().items():
        asked = {name: of_the_range(sql) for name, sql in found.items()}
        assert set(asked) == {"load", *COUNTED}, dialect
        done = run(["env", "-C", str(tmp_path), python, str(ASK), dialect], 120, stdin=json.dumps(asked).encode())
        assert done.code == 0, (dialect, done)
        for name, rows in json.loads(done.out).items():
            assert plain(rows) == counted[name], (dialect, name)
