"""What people export gets in: times, numbers and files in the forms in which they come, each as a user would import it."""

import json

import msgpack

from .harness.publisher import event


def dry_run(site, *words, stdin=b""):
    """The messages that would be sent, and the answer."""
    answer = site.run("tallymill-produce", "--dry-run", *words, stdin=stdin)
    return [json.loads(line)["value"] for line in answer.out.splitlines()], answer


def events_at(*times):
    return "".join(json.dumps({"event_name": "login", "created_at": time}) + "\n" for time in times).encode()


def test_times_are_read_as_they_are_written_or_refused_with_the_option_that_reads_them(site):
    events, answer = dry_run(site, stdin=events_at("2026-11-15 09:30:00.25+00", "2026-11-15T09:30:00,25+0000", "2026-11-15T10:30+01:00",
                                                   "15/Nov/2026:10:30:00 +0100"))
    assert answer.code == 0, answer
    assert [event["created_at"] for event in events] == ["2026-11-15T09:30:00.25Z"] * 2 + ["2026-11-15T09:30:00Z"] * 2

    local = events_at("2026/11/15 09:30:00.25", "11.15.2026", "2026-11-15 09:30", "2026-10-25 02:30", "2026-03-29 02:30")
    events, answer = dry_run(site, stdin=local)
    assert (answer.code, events) == (1, []), answer
    for said in ("stdin:1: created_at is in no form", "'%Y/%m/%d %H:%M:%S'", "stdin:2: created_at begins with day or month",
                 "stdin:3: created_at has no time zone: say --time-zone"):
        assert said in answer.err, answer
    events, answer = dry_run(site, "--time-format", "%Y/%m/%d %T.%f", "--time-format", "%m.%d.%Y", "--time-zone", "Europe/Berlin", stdin=local)
    assert [event["created_at"] for event in events] == ["2026-11-15T08:30:00.25Z", "2026-11-14T23:00:00Z", "2026-11-15T08:30:00Z"]
    assert answer.code == 1 and "stdin:4: created_at is there twice" in answer.err and "stdin:5: created_at does not exist" in answer.err, answer

    for words, said in ((("--time-zone", "Europe/Berln"), "did you mean Europe/Berlin"), (("--time-format", "%H:%M"), "year, month and day")):
        events, answer = dry_run(site, *words, stdin=local)
        assert answer.code == 2 and said in answer.err, answer


def test_our_own_tables_csv_is_all_duplicates_in_the_same_database(site, tmp_path):
    site.produce("--generate", "300", "--seed", "5", "--days", "1")
    site.send([event("doc_export", is_internal=True, event_data={"text": 'a "quote", a comma\nand a line', "n": 2**64 - 1, "x": -1.5e-7}),
               event("login", session_id="t,f", user_id=2**63 - 1)])
    site.drain()
    table = tmp_path / "table.csv"
    # As it stands in the table, and as the plan's plain table would have it.
    for columns in ("*", "id, event_name, event_category, session_id, user_id, event_data, '10.0.0.1' AS ip_address, is_internal, created_at"):
        before = site.outcomes()
        with open(table, "w", encoding="utf-8") as file:
            site.database.copy_out(f"COPY (SELECT {columns} FROM analytics_events) TO STDOUT WITH (FORMAT csv, HEADER)", file)
        answer = site.must("tallymill-produce", table)
        told = "batch_id is dropped" if columns == "*" else "ip_address is dropped: --map event_data.NAME=ip_address keeps it"
        assert answer.err.count(told) == 1 and answer.err.count("is dropped") == 1, answer
        site.drain()
        stored, duplicates, dead_letters, _ = site.outcomes()
        assert (stored, duplicates, dead_letters) == (302, before[1] + 302, 0)


def test_pandas_csv_gets_in(site, tmp_path):
    frame = tmp_path / "frame.csv"
    frame.write_text(",event_name,session_id,user_id,is_internal,created_at,event_data\n"
                     "0,login,NaN,1001.0,False,2026-11-15T09:30:00Z,NaN\n1,NaN,s2,NaN,True,2026-11-15 09:30:00+00:00,\"{\"\"n\"\": 1.5}\"\n")
    events, answer = dry_run(site, frame)
    assert answer.code == 0 and answer.err.count("column 1 has no name in the header, and is dropped") == 1, answer
    assert [(one["event_name"], one["session_id"], one.get("user_id"), one.get("is_internal"), one.get("event_data")) for one in events] == [
        ("login", "NaN", 1001, None, None), ("NaN", "s2", None, True, {"n": 1.5})]
    frame.write_text(",name,n,flag,when\n0,login,NaN,True,1\n1,error,2.5,False,2\n")
    events, answer = dry_run(site, "--map", "event_name=name", "--map", "created_at=when", "--time-unit", "s", "--map", "event_data.n=n", "--rest", "event_data",
                             "--csv-types", "json", frame)
    assert [one["event_data"] for one in events] == [{"flag": True}, {"n": 2.5, "flag": False}]


def test_whole_numbers_are_exact_to_64_bits_in_every_format(site, tmp_path):
    numbers = (-2**63, 2**63, 2**64 - 1)
    made = tmp_path / "n.csv", tmp_path / "n.ndjson", tmp_path / "n.msgpack"
    made[0].write_text("event_name,n\n" + "".join(f"login,{number}\n" for number in (*numbers, 2**64)) + 'login,"18446744073709551616"\n')
    made[1].write_text("".join(json.dumps({"event_name": "login", "n": number}) + "\n" for number in (*numbers, 2**64, -2**63 - 1)))
    made[2].write_bytes(b"".join(msgpack.packb({"event_name": "login", "n": number}) for number in numbers))
    for path in made:
        events, answer = dry_run(site, "--map", "event_name=event_name", "--rest", "event_data", *(("--csv-types", "json") if path == made[0] else ()), path)
        assert [one["event_data"]["n"] for one in events[:3]] == list(numbers), answer
        if path != made[2]:
            assert answer.code == 1 and f"{path}:{5 if path == made[0] else 4}: n is beyond 64 bits: quote it to keep it as text" in answer.err, answer
    site.must("tallymill-produce", "--map", "event_name=event_name", "--rest", "event_data", made[2])
    site.drain()
    assert site.database.rows("SELECT event_data->>'n' FROM analytics_events ORDER BY (event_data->>'n')::numeric") == [(str(number),) for number in numbers]
