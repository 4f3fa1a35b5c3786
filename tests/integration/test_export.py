"""tallymill export: what it writes is what the database held at one moment, comes back through tallymill-produce as the same events, and is computed by no spreadsheet."""

import csv
import gzip
import io
import json
import signal

import pytest
from psycopg2 import extensions

from .harness.publisher import event, events, instant, now_us
from .harness.waiting import wait_until

# What a row says, whatever its order: the same hash is the same rows.
HASH = """SELECT count(*), coalesce(sum(hashtextextended((e.id, e.event_name, e.event_category, e.session_id, e.user_id, e.event_data, e.is_internal,
                 e.created_at)::text, 0)::numeric), 0) FROM {} e WHERE {}"""
FORMULAS = ["=1+1", "+49 30 1234", "-5", "@SUM(A1:A9)", "\t=1", "\r=1", "=HYPERLINK(\"http://x.example\",\"open\")", "=cmd|'/C calc'!A0", "-2+3+cmd|' /C calc'!A0"]
HARMLESS = ["'=1", " =1", "a=b", "1-2", "\\N", "\\.", "say \"so\"", "two\nlines", "a,b;c", "täglich", "NULL", "NaN", "007", "{}", "#no comment", " both ends "]
NUMBERS = [1e300, -1e300, 1.0, -0.0, 0.1, 5e-324, 2.0**64, -2.0**63 - 2048, 1e22, 123456789.125, 2**64 - 1, -2**63, 1e-7, 1.7976931348623157e308]


def hash_of(site, table="public.analytics_events", where="true"):
    return site.database.rows(HASH.format(table, where))[0]


def hostile_events(first_us):
    """Texts and numbers that a format could lose or a spreadsheet compute."""
    for number, text in enumerate(FORMULAS + HARMLESS):
        yield event("doc_export" if number % 2 else f"own {number}", first_us + number, session_id=text, event_data={"filename": text, "doc_type": "README", text: [text, number]})
    for number, value in enumerate(NUMBERS):
        yield event("performance", first_us + 1000 + number, user_id=number * 2**58, event_data={"score": value, "nested": {"list": [value, None, True]}, "text": str(value)})


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def filled(make_site):
    site = make_site(partitions=2)
    site.send([*hostile_events(now_us() - 3_600_000_000), *events(400, days=2)])
    site.drain()
    return site


@pytest.mark.parametrize("words, name", [(("--raw",), "all.csv"), (("--format", "ndjson", "--compress", "zstd"), "all.ndjson.zst"), (("--raw", "--compress", "gzip"), "all.csv.gz")])
def test_an_export_comes_back_through_produce_as_the_same_rows(filled, make_site, tmp_path, words, name):
    """NDJSON of a .zst and CSV are told by their names."""
    filled.must("tallymill", "export", *words, "--output", tmp_path / name)
    back = make_site(partitions=2)
    sent = back.produce(tmp_path / name)
    assert sent.code == 0, sent
    back.drain()
    assert hash_of(back) == hash_of(filled)


def test_a_spreadsheet_computes_no_cell_and_it_is_said_which_were_guarded(filled, tmp_path):
    raw = read_csv(filled.must("tallymill", "export", "--raw").out)
    done = filled.must("tallymill", "export", "--output", tmp_path / "events.csv", "--json")
    with open(tmp_path / "events.csv", newline="") as file:
        text = file.read()
    guarded = read_csv(text)
    assert not [cell for row in guarded for name, cell in row.items() if name != "user_id" and cell[:1] in tuple("=+-@\t\r")]
    with open(tmp_path / "events.csv.guarded.csv", newline="") as file:
        places = list(csv.DictReader(file))
    by_id = {row["id"]: row for row in raw}
    for place in places:
        row = guarded[int(place["row"]) - 2]
        assert row[place["column"]] == "'" + by_id[row["id"]][place["column"]]
        row[place["column"]] = row[place["column"]][1:]
    assert {row["id"]: row for row in guarded} == by_id, "what is not in the list is as it was"
    assert len(places) == len(FORMULAS) == json.loads(done.out)["files"][0]["guarded"]
    assert f"{len(FORMULAS)} cells" in done.err and "session_id" in done.err and "guarded.csv" in done.err, done.err
    assert {row["session_id"] for row in raw} >= set(FORMULAS + HARMLESS)


def test_flat_columns_keep_numbers_and_guard_texts(filled):
    rows = read_csv(filled.must("tallymill", "export", "--columns", "flat", "--event", "doc_export", "--event", "performance").out)
    assert list(rows[0])[:9] == ["id", "event_name", "event_category", "action", "origin", "session_id", "user_id", "is_internal", "created_at"]
    assert {"filename", "doc_type", "latency.ttft"} <= set(rows[0])
    asked = filled.must("tallymill", "export", "--columns", "id,filename,event_data.score", "--event", "doc_export", "--event", "performance").out
    assert len(read_csv(asked)) == len(rows)
    filled.send([event("export", event_data={"a": -5, "b": "-5", "llm": {"latency": {"ttft": -1.5}}, "dotted.key": 1, "event_data": {"x": None}, "id": "own", "empty": {}})])
    filled.drain()
    (row,) = read_csv(filled.must("tallymill", "export", "--columns", "discover", "--event", "export").out)
    assert (row["a"], row["b"], row["llm.latency.ttft"], row['"dotted.key"'], row["event_data.event_data.x"], row["event_data.id"], row["empty"]) == (
        "-5", "'-5", "-1.5", "1", "", "own", "{}")
    names = "id,llm.latency.ttft,event_data.event_data.x," + ",".join(f"event_data.{name}" for name in ("a", "b", '"dotted.key"', "id"))
    again = filled.must("tallymill", "export", "--columns", names, "--event", "export", "--format", "ndjson").out
    values = json.loads(again)
    assert (values["llm.latency.ttft"], values["event_data.b"], values["event_data.a"], values["event_data.event_data.x"], values['event_data."dotted.key"'], values["event_data.id"]) == (
        -1.5, "-5", -5, None, 1, "own")
    for wrong, said in (("id,ids", "did you mean id"), ("id,id", "twice"), ("nonsense", "event_data.NAME"), ("event_data.", "no path")):
        refused = filled.tallymill("export", "--columns", wrong)
        assert refused.code == 2 and said in refused.err, refused


def test_filters_choose_the_rows_that_sql_chooses(filled):
    day = filled.database.value("SELECT (max(created_at) AT TIME ZONE 'UTC')::date::text FROM analytics_events")
    for words, where in ((("--event", "login", "--event", "own 0"), "event_name IN ('login', 'own 0')"), (("--category", "workflow"), "event_category = 'workflow'"),
                         (("--user", "3"), "user_id = 3"), (("--session", "two\nlines"), "session_id = E'two\\nlines'"), (("--session", "it's"), "false"),
                         (("--external",), "NOT is_internal"), ((day,), f"(created_at AT TIME ZONE 'UTC')::date = '{day}'"),
                         ((f"..{day}", "--external"), "NOT is_internal"), (("events", f"{day}.."), f"(created_at AT TIME ZONE 'UTC')::date >= '{day}'")):
        found = {row["id"] for row in read_csv(filled.must("tallymill", "export", *words, "--columns", "id,created_at").out)}
        assert found == {row[0] for row in filled.database.rows(f"SELECT id::text FROM analytics_events WHERE {where}")}, words
    for words in (("--user", "x"), ("--user", ""), ("nothing",), ("daily", "--session", "x"), ("daily", "2026-13-01"), ("--format", "xls"), ("--compress", "zip"), ("--json",),
                  ("daily", "--columns", "flat")):
        assert filled.tallymill("export", *words).code == 2, words


def test_statistics_and_rollups_are_exported_as_sql_has_them(make_site):
    site = make_site(partitions=1, **{"rollups.dir": ""})
    site.send(events(300, days=3))
    site.drain()
    site.fold()
    for name, table, key in (("daily", "analytics_daily_stats", "date, event_name"), ("funnel", "analytics_daily_funnel", None), ("analytics_weekly_cohorts", "analytics_weekly_cohorts", None)):
        whole = site.must("tallymill", "export", name).out
        counted = site.database.value(f"SELECT count(*) FROM {table}")
        assert len(read_csv(whole)) == counted > 0, name
        if key:
            assert [row["event_name"] for row in read_csv(whole)] == [row[0] for row in site.database.rows(f"SELECT event_name FROM {table} ORDER BY {key}")]
    one = read_csv(site.must("tallymill", "export", "daily", "--event", "login", "--columns", "date,event_count").out)
    assert one == [{"date": str(day), "event_count": str(count)} for day, count in
                   site.database.rows("SELECT date, event_count FROM analytics_daily_stats WHERE event_name = 'login' ORDER BY 1")]
    misspelt = site.tallymill("export", "funnels")
    assert misspelt.code == 2 and "did you mean funnel" in misspelt.err


def test_an_export_under_live_inserts_is_one_moment(make_site, tmp_path):
    """Each batch is in it whole or not at all, in whichever month's file its rows are: they are those that SQL finds of the same batches, by hash."""
    site = make_site(partitions=2, **{"batch.max_rows": 100})
    site.worker()
    site.send(events(3000, days=40))
    site.wait_until_drained()
    before = site.database.value("SELECT count(*) FROM analytics_events")
    live = events(6000, seed=2, days=40)
    counts = []
    for number in range(3):
        for _ in range(2000):
            site.publisher.send(next(live))
        folder = tmp_path / f"export-{number}"
        names = "id,event_name,event_category,session_id,user_id,event_data,is_internal,created_at,batch_id"
        site.must("tallymill", "export", "--raw", "--columns", names, "--output", f"{folder}/")
        site.database.run(f"CREATE TABLE copy_{number} (LIKE analytics_events)")
        assert len(list(folder.glob("*.csv"))) > 1
        for part in folder.glob("*.csv"):
            with site.database.session() as connection, connection.cursor() as cursor, open(part, newline="") as file:
                cursor.copy_expert(f"COPY copy_{number} ({names}) FROM STDIN (FORMAT csv, HEADER)", file)
        counts.append(site.database.value(f"SELECT count(*) FROM copy_{number}"))
        assert hash_of(site, f"copy_{number}") == hash_of(site, where=f"batch_id IN (SELECT batch_id FROM copy_{number})")
    site.publisher.flush()
    site.wait_until_drained()
    assert before <= counts[0] <= counts[1] <= counts[2] <= 9000


def months_of(folder):
    return json.loads((folder / "export.json").read_text())["months"]


def stored_in(site, folder):
    """The rows of a folder's files, in a table of their own, compared by hash."""
    site.database.run("DROP TABLE IF EXISTS brought; CREATE TABLE brought (LIKE analytics_events INCLUDING DEFAULTS)")
    for noted in months_of(folder).values():
        with site.database.session() as connection, connection.cursor() as cursor, gzip.open(folder / noted["file"], "rt", newline="") as file:
            cursor.copy_expert("COPY brought (id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at) FROM STDIN (FORMAT csv, HEADER)", file)
    return hash_of(site, "brought")


def test_an_export_by_months_goes_on_where_it_was_and_ends_as_one_moment(make_site, tmp_path):
    site = make_site(partitions=1, **{"window.oldest": "2025-01-01"})
    site.send([event(created_us=instant(f"2025-{month:02}-10") + n, session_id=f"s-{n}", event_data={"n": n}) for month in range(1, 9) for n in range(300)])
    site.drain()
    site.fold()
    folder = tmp_path / "all"
    words = ("export", "--raw", "--compress", "gzip", "--output", f"{folder}/")
    killed = site.start("tallymill", *words)
    wait_until(lambda: not killed.is_running() or (folder / "events-2025-01.csv.gz").exists(), 30, "a first month")
    killed.signal(signal.SIGKILL)  # wherever it is
    killed.wait()
    site.must("tallymill", *words)
    assert stored_in(site, folder) == hash_of(site)
    assert set(months_of(folder)) == {f"2025-{month:02}" for month in range(1, 9)}, "months that are only made ahead have no file"

    inodes = {file.name: file.stat().st_ino for file in folder.iterdir()}
    site.send([event(created_us=instant("2025-03-11"))])
    site.drain()
    (folder / "events-2025-05.csv.gz").write_bytes(b"damaged")
    (folder / "events-2025-06.csv.gz").unlink()
    site.database.run("UPDATE tallymill.changes SET version = version + 1 WHERE day = '2025-02-10'")  # the books say "perhaps", the rows are the same
    answer = json.loads(site.must("tallymill", *words, "--json").out)
    assert {file["month"] for file in answer["files"] if not file["kept"]} == {"2025-03", "2025-05", "2025-06"}
    assert stored_in(site, folder) == hash_of(site)
    assert (folder / "events-2025-02.csv.gz").stat().st_ino == inodes["events-2025-02.csv.gz"]
    assert json.loads((folder / "export.json").read_text())["complete"]

    other = site.tallymill(*words, "--external")
    assert other.code == 2 and "choose another directory" in other.err, other
    refused = site.tallymill(*words, "2025-04-10..2025-05-31")
    assert refused.code == 2 and "events-2025-01.csv.gz" in refused.err and "move the file away" in refused.err, "files at which it does not look are of another moment"
    assert json.loads((folder / "export.json").read_text())["complete"] and len(months_of(folder)) == 8 and stored_in(site, folder) == hash_of(site)
    for month in (1, 2, 3, 6, 7, 8):
        (folder / f"events-2025-0{month}.csv.gz").unlink()
    part = json.loads(site.must("tallymill", *words, "2025-04-10..2025-05-31", "--json").out)
    assert set(months_of(folder)) == {"2025-04", "2025-05"}
    assert [(file["month"], file["kept"]) for file in part["files"]] == [("2025-04", False), ("2025-05", True)], "a month of which other days are asked for is another"
    (folder / "export.json").write_text("{")
    assert site.tallymill(*words).code == 2


def test_an_export_by_months_sees_what_other_programs_did_to_the_rows(make_site, tmp_path):
    """The books know nothing of it: rows keep their batch, and no day is waiting."""
    site = make_site(partitions=1, **{"window.oldest": "2025-01-01"})
    site.send([event(created_us=instant(f"2025-{month:02}-10") + n, session_id=f"s-{n}") for month in range(1, 5) for n in range(50)])
    site.drain()
    site.fold()
    folder = tmp_path / "all"
    words = ("export", "--raw", "--compress", "gzip", "--output", f"{folder}/")
    site.must("tallymill", *words)
    site.database.run("UPDATE analytics_events SET event_category = 'changed' WHERE created_at < '2025-02-01' AND session_id = 's-7'")
    site.database.run("DELETE FROM analytics_events WHERE created_at >= '2025-03-01' AND created_at < '2025-04-01' AND session_id = 's-8'")
    answer = json.loads(site.must("tallymill", *words, "--json").out)
    assert {file["month"] for file in answer["files"] if not file["kept"]} == {"2025-01", "2025-03"}, answer
    assert stored_in(site, folder) == hash_of(site)
    assert all(file["kept"] for file in json.loads(site.must("tallymill", *words, "--json").out)["files"])


def test_an_export_by_months_refuses_the_file_of_a_month_that_left(make_site, tmp_path):
    site = make_site(partitions=1, **{"window.oldest": "2025-01-01"})
    site.send([event(created_us=instant(f"2025-0{month}-10")) for month in (1, 2, 3)])
    site.drain()
    site.fold()
    folder = tmp_path / "all"
    words = ("export", "--raw", "--compress", "gzip", "--without-archived", "--output", f"{folder}/")
    site.must("tallymill", *words)
    site.database.run("""ALTER TABLE analytics_events DETACH PARTITION analytics_events_2025_02;
                         UPDATE tallymill.months SET state = 'archived' WHERE month = '2025-02-01'""")
    refused = site.tallymill(*words)
    assert refused.code == 2 and "events-2025-02.csv.gz" in refused.err and "move the file away" in refused.err, refused
    assert (folder / "events-2025-02.csv.gz").exists(), "it may be the last copy"
    (folder / "events-2025-02.csv.gz").rename(tmp_path / "moved")
    site.must("tallymill", *words)
    record = json.loads((folder / "export.json").read_text())
    assert record["complete"] and set(record["months"]) == {"2025-01", "2025-03"} and record["without_archived"] == ["2025-02"], record


def test_an_archived_month_is_named_and_left_out_only_when_that_is_said(make_site):
    site = make_site(partitions=1, **{"window.oldest": "2025-01-01"})
    site.send([event(created_us=instant(f"2025-0{month}-10")) for month in (1, 2, 3)])
    site.drain()
    site.fold()
    site.database.run("""ALTER TABLE analytics_events DETACH PARTITION analytics_events_2025_02;
                         UPDATE tallymill.months SET state = 'archived' WHERE month = '2025-02-01'""")
    refused = site.tallymill("export")
    assert refused.code == 1 and "2025-02" in refused.err and "--without-archived" in refused.err and refused.out == "", refused
    without = site.must("tallymill", "export", "--without-archived")
    assert len(read_csv(without.out)) == 2 and "2025-02" in without.err
    assert len(read_csv(site.must("tallymill", "export", "2025-03-01..").out)) == 1
    assert len(read_csv(site.must("tallymill", "export", "daily").out)) == 3, "statistics are kept"


def test_an_export_needs_the_right_to_read_and_no_other(make_site, tmp_path):
    site = make_site(partitions=1)
    site.send(events(20, days=1))
    site.drain()
    for role, code in (("read", 0), ("aggregate", 0), ("admin", 0), ("ingest", 2)):
        login = f"export_{role}"
        site.database.run(f"DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT tallymill_{role} TO {login}")
        site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=login))
        done = site.tallymill("export", "--output", tmp_path / "events.csv")
        assert done.code == code, (role, done)
        assert site.tallymill("export", "--check").code == code, role


def test_a_file_is_whole_or_not_there(make_site, tmp_path):
    site = make_site(partitions=1)
    site.send(events(200, days=1))
    site.drain()
    (tmp_path / "old.csv").write_text("as it was")
    site.database.run("ALTER TABLE analytics_events RENAME event_name TO name_of_old")
    assert site.tallymill("export", "--output", tmp_path / "old.csv", "--event", "login").code != 0
    assert (tmp_path / "old.csv").read_text() == "as it was"
    site.database.run("ALTER TABLE analytics_events RENAME name_of_old TO event_name")
    full = site.tallymill("export", "--output", "/dev/full")
    assert full.code == 1 and "No space left" in full.err, full
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".part")] == []
    assert site.tallymill("export", "--output", tmp_path / "no" / "folder.csv").code == 1
