"""The lines for DuckDB, pandas and Postgres on the pages about exports and archives, as they stand, over what was really exported and archived: each reads what the table holds.
And LibreOffice, which computes no cell of a guarded export.

By name only (tests/run analyse). LibreOffice is not fetched: where there is none (libreoffice-calc-nogui; TALLYMILL_SOFFICE says where) that test is skipped.
"""

import fractions
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from integration.harness.program import ROOT, environment
from integration.test_analyse_pages import queries
from integration.test_archive import MONTH, of_month
from integration.test_export import hostile_events
from integration.harness.publisher import now_us

PAGES = ROOT / "docs"
SOFFICE = os.environ.get("TALLYMILL_SOFFICE") or shutil.which("soffice")
# Commas, quotes, UTF-8, from the first line; quoted fields are no texts, numbers and dates are recognized, formulas are computed.
AS_A_PERSON_WOULD = "CSV:44,34,76,1,,0,false,true,false,false,false,-1,true"
# Each value as a text that says all of it.
ROWS = """SELECT id::text, event_name, event_category, session_id, user_id::text, event_data{json}, is_internal::text, {micros}, {batch}
FROM {table} ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"""
POSTGRES = {"json": "::text", "micros": "(extract(epoch FROM created_at) * 1000000)::bigint::text"}
DUCKDB = {"json": "::varchar", "micros": "epoch_us(created_at)::varchar"}
PANDAS = """
import json, sys
def text(value):
    return None if pandas.isna(value) or value == "" else str(value)
rows = [[text(cell) for cell in (e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.is_internal, e.created_at.value // 1000 if e.created_at.unit == "ns"
         else int(e.created_at.timestamp()) * 1000000 + e.created_at.microsecond)] + [None] for e in events.itertuples()]
json.dump(rows, sys.stdout)
"""


def plain(rows):
    """Of a JSON text its value is compared, however its numbers are written and whatever the spaces in it."""
    def value_of(text):
        return text and json.dumps(json.loads(text, parse_float=exact, parse_int=exact), sort_keys=True)

    def exact(digits):
        return str(fractions.Fraction(digits))

    return sorted([[*row[:5], value_of(row[5]), *row[6:]] for row in rows], key=str)


def ask(python, folder, code):
    done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, timeout=300, check=False, env=environment())
    assert done.returncode == 0, done.stderr.decode()
    return plain(json.loads(done.stdout))


def of_duckdb(python, folder, sql, parquet, batch):
    rows = ROWS.format(table=f"'{parquet}'", batch=batch, **DUCKDB)
    return ask(python, folder, f"import duckdb, json, sys\nc = duckdb.connect()\nc.execute({sql!r})\njson.dump(c.execute({rows!r}).fetchall(), sys.stdout)")


def of_postgres(site, batch, where=""):
    return plain(site.database.rows(ROWS.format(table="analytics_events " + where, batch=batch, **POSTGRES)))


def without_empty(rows):
    """An empty text and NULL are one in pandas."""
    return sorted([[cell or None for cell in row] for row in rows], key=str)


@pytest.fixture(name="filled")
def make_filled(make_site, tmp_path):
    (tmp_path / "archive").mkdir()
    site = make_site(partitions=2, **{"window.oldest": "2025-01-01", "archive.target": tmp_path / "archive"})
    site.send([*hostile_events(now_us() - 3_600_000_000), *of_month(2000)])
    site.drain()
    site.fold()
    return site


def python_blocks(page):
    return dict(re.findall(r"```python (\w+)\n(.*?)```", page.read_text(), re.DOTALL))


def test_duckdb_and_pandas_read_an_export_as_the_table_has_it(filled, tmp_path, python):
    filled.must("tallymill", "export", "--format", "ndjson", "--compress", "zstd", "--output", f"{tmp_path}/all/")
    filled.must("tallymill", "export", "--raw", "--output", tmp_path / "events.csv")
    stored = of_postgres(filled, "NULL")
    assert of_duckdb(python, tmp_path, queries(PAGES / "export.md")["parquet"], "all.parquet", "NULL") == stored
    assert ask(python, tmp_path, python_blocks(PAGES / "export.md")["pandas"] + PANDAS) == without_empty(stored)


def test_duckdb_and_postgres_read_an_archive_as_the_month_was(filled, tmp_path, python):
    month = f"WHERE to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM') = '{MONTH}'"
    stored = of_postgres(filled, "batch_id::text", month)
    filled.must("tallymill", "archive", MONTH)
    filled.database.run("CREATE TABLE some_table (LIKE analytics_events)")
    folder = tmp_path / "archive/analytics_events"
    sql = queries(PAGES / "archive.md")["parquet"].replace("2025-01", MONTH)
    assert len(stored) == 2000 and of_duckdb(python, folder, sql, f"{MONTH}.parquet", "batch_id::varchar") == stored
    (line,) = re.findall(r"`(COPY some_table .*?)`", (PAGES / "archive.md").read_text())
    with tempfile.TemporaryDirectory() as seen:    # by the server's account
        os.chmod(seen, 0o755)
        shutil.copy(folder / MONTH / "0001/part-00001.csv.zst", seen)
        os.chmod(f"{seen}/part-00001.csv.zst", 0o644)
        filled.database.run(line.replace("/path", seen))
    assert filled.database.value("SELECT count(*) FROM some_table") == 2000
    filled.must("tallymill", "restore", MONTH)
    assert filled.database.rows(f"(SELECT * FROM some_table EXCEPT SELECT * FROM analytics_events {month}) UNION ALL (SELECT * FROM analytics_events {month} EXCEPT SELECT * FROM some_table)") == []


def formulas_in(folder, name):
    """Of a CSV file, as LibreOffice has taken it in."""
    command = [SOFFICE, "--headless", f"-env:UserInstallation=file://{folder}/profile", f"--infilter={AS_A_PERSON_WOULD}", "--convert-to", "fods", "--outdir", str(folder), str(folder / f"{name}.csv")]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, env={**environment(), "HOME": str(folder)})
    sheet = folder / f"{name}.fods"
    assert done.returncode == 0 and sheet.exists(), done
    return re.findall(r'table:formula="([^"]*)"', sheet.read_text())


@pytest.mark.skipif(not SOFFICE, reason="no LibreOffice here (libreoffice-calc-nogui)")
def test_libreoffice_takes_no_cell_of_a_guarded_export_for_a_formula(filled, tmp_path):
    filled.must("tallymill", "export", "--output", tmp_path / "guarded.csv")
    filled.must("tallymill", "export", "--columns", "discover", "--output", tmp_path / "flat.csv")
    filled.must("tallymill", "export", "--raw", "--output", tmp_path / "raw.csv")
    assert len(formulas_in(tmp_path, "raw")) >= 2, "it does compute what is not guarded"
    assert formulas_in(tmp_path, "guarded") == [] and formulas_in(tmp_path, "flat") == []
