"""Files of every kind that people have, by whatever name: they get in right, or one line says how, and then that line is what is run.

The table says what comes of each without an option but the mapping. Where a command is proposed, the test runs it as a shell does, if its program is there.
"""

import gzip
import io
import json
import lzma
import math
import pathlib
import pickle
import re
import shlex
import shutil
import subprocess

import msgpack

from .harness.program import binary
from .test_import_forms import dry_run

MAPPING = ("--map", "event_name=event_name", "--map", "session_id=session_id", "--map", "created_at=created_at", "--rest", "event_data")
RECORDS = [("login", "s1", "2026-11-15T09:30:00Z", "1"), ("doc_export", "s2", "2026-11-15T09:31:00Z", "2"), ("login", "s3", "2026-11-15T09:32:00Z", "3")]
WANTED = [(name, session, created, {"n": n}) for name, session, created, n in RECORDS]
NAMES = ("event_name", "session_id", "created_at", "n")


def table(delimiter, end="\n", header=True):
    return "".join(delimiter.join(record) + end for record in ([NAMES] if header else []) + RECORDS)


def objects():
    return [dict(zip(NAMES, record)) for record in RECORDS]


# Read as they are: name of the file, its bytes.
READ = {
    "tabs.tsv": table("\t"), "tabs.tab": table("\t"), "bars.psv": table("|"), "semicolons.csv": table(";"), "tabs.csv": table("\t"), "bars.csv": table("|"),
    "excel.csv": "sep=;\r\n" + table(";", "\r\n"), "windows.csv": table("\t", "\r\n").encode("utf-16"), "unmarked.csv": table(",").encode("utf-16-le"),
    "unmarked-big.csv": table(",").encode("utf-16-be"), "mac.csv": table(",", "\r"), "blank.csv": "\n \n" + table(",", "\n\n"),
    "parts.csv.gz": gzip.compress(table(",").encode()[:60]) + gzip.compress(table(",").encode()[60:]),
    "headers.csv": table(",") [:-len("login,s3,2026-11-15T09:32:00Z,3\n")] + "\ufeff" + ",".join(NAMES) + "\n" + "login,s3,2026-11-15T09:32:00Z,3\n",
    "marks.csv": "\ufeff" + table(",").replace("doc_export", "\ufeffdoc_export"), "trailing.csv": table(",", ",\n"),
    "quotes.csv": '"' + table('","', '"\n"')[:-1], "pretty.json": json.dumps(objects(), indent=2), "commas.ndjson": ",\n".join(map(json.dumps, objects())),
    "marks.ndjson": "".join("\ufeff" + json.dumps(one) + "\n" for one in objects()), "text-mode.csv": table(",", "\r\r\n"), "text-mode.tsv": table("\t", "\r\r\n"),
    "text-mode.ndjson": "".join(json.dumps(one) + "\r\r\n" for one in objects()), "capitals.csv": "SEP=;\r\n" + table(";", "\r\n"),
    "list.msgpack": msgpack.packb(objects()), "lists.msgpack": msgpack.packb(objects()[:1]) + msgpack.packb(objects()[1:]),
}
# The words that the line proposes read it too.
PROPOSED = {
    "tabs.txt": table("\t"), "bars.txt": table("|"), "commas.dat": table(","), "table.json": table(","), "comments.csv": "# of May\n" + table(","),
    "comments2.csv": "# ---\n# all\n# ---\n\n" + table(","), "title.csv": "All events of May\n\n" + table(","), "titled.csv": "Events\n" + table(";"),
    "lines.csv": "".join(json.dumps(one) + "\n" for one in objects()), "array.csv": json.dumps(objects()),
    "features.json": json.dumps({"type": "FeatureCollection", "features": objects()}), "data.json": json.dumps({"data": objects(), "next": None}, indent=1),
    "hits.json": json.dumps({"took": 1, "hits": {"total": 3, "hits": objects()}}), "arrays.json": json.dumps([NAMES, *RECORDS]),
    "array-a-line.json": "".join(json.dumps(one) + "\n" for one in [NAMES, *RECORDS]), "app.log": "".join("2026-11-15T09:30:00Z app[7]: " + json.dumps(one) + "\n" for one in objects()), "print.txt": "".join(f"{one}\n" for one in objects()),
    "fields.log": "".join(" ".join(f"{name}={value}" for name, value in one.items()) + "\n" for one in objects()),
    "list.yaml": "".join("- " + "\n  ".join(f"{name}: '{value}'" for name, value in one.items()) + "\n" for one in objects()),
    "only-records-end.csv": table(",", ",\n").replace("n,\n", "n\n", 1), "latin.csv": table(",").replace("s2", "caf\xe9").encode("latin-1"),
    "backslash.csv": table(",").replace("s2", '"say \\"s2\\""'), "caret.csv": table("^"), "hive.csv": table("\1"),
    "texts.ndjson": "".join(json.dumps(json.dumps(one)) + "\n" for one in objects()), "twice.csv.gz": gzip.compress(gzip.compress(table(",").encode())),
    "lines.msgpack": "".join(json.dumps(one) + "\n" for one in objects()), "twice.csv.xz": lzma.compress(lzma.compress(table(",").encode())), "old.csv.lzma": lzma.compress(table(",").encode(), format=lzma.FORMAT_ALONE),
}
CHANGED = {"latin.csv": ("s2", "caf\xe9"), "backslash.csv": ("s2", 'say "s2"')}


def rows_of(events):
    return [(one["event_name"], one.get("session_id"), one["created_at"], one.get("event_data", {})) for one in events]


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_files_of_these_kinds_get_in_as_they_are(site, tmp_path):
    for name, data in READ.items():
        events, answer = dry_run(site, *MAPPING, write(tmp_path, name, data))
        assert answer.code == 0 and rows_of(events) == WANTED, (name, answer)


def follow(site, said, path):
    """The events that the proposed command gives, run by a shell; None where its program is not here. Options alone are added to ours."""
    ours = shlex.join(map(str, [binary("tallymill-produce", site.build), "--config", site.settings, "--dry-run", *MAPPING]))
    command = said.replace("FILE", str(path)).replace("tallymill-produce", ours)
    if said.startswith("--"):
        command = f"{ours} {said} {path}"
    elif shutil.which(shlex.split(said)[0]) is None:
        return None
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return rows_of(json.loads(line)["value"] for line in done.stdout.splitlines()), command, done.stderr[-2000:].decode()


def test_files_of_these_kinds_are_answered_with_the_command_that_reads_them(site, tmp_path):
    for name, data in PROPOSED.items():
        path = write(tmp_path, name, data)
        events, answer = dry_run(site, *MAPPING, path)
        proposals = re.findall(r"say (.*?)(?: \.\.\..*)?$", answer.err, re.M)
        assert answer.code == 1 or (answer.code == 2 and events == [] and len(proposals) == 1 and str(path) in answer.err), (name, answer)
        followed = follow(site, proposals[-1], path)
        old, new = CHANGED.get(name, ("", ""))
        assert followed is None or followed[0] == [(event_name, session.replace(old, new) if old else session, *rest) for event_name, session, *rest in WANTED], (name, followed)


def test_a_table_without_a_header_is_answered_with_a_header_of_numbers(site, tmp_path):
    for name, delimiter in (("plain.csv", ","), ("bars.psv", "|"), ("tabs.txt", "\t"), ("tabs.tsv", "\t")):
        path = write(tmp_path, name, table(delimiter, header=False))
        answer = site.run("tallymill-produce", *MAPPING, path)
        assert answer.code == 2 and "(seq -s " in answer.err, answer
        said = re.search(r"\(seq -s (.*?); cat FILE\)", answer.err).group(1)
        piped = subprocess.run(["bash", "-c", f"(seq -s {said}; cat {path})"], capture_output=True, check=True).stdout
        events, answer = dry_run(site, "--format", "csv", "--map", "event_name=1", "--map", "session_id=2", "--map", "created_at=3", "--rest", "event_data", stdin=piped)
        assert answer.code == 0 and rows_of(events) == [(*one[:3], {"4": one[3]}) for one in RECORDS], answer


CLOUDFRONT = ("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status\n"
              "2026-11-15\t09:30:00\tLAX1\t2390282\t192.0.2.202\tGET\td111.cloudfront.net\t/index.html\t200\n")
IIS = ("#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Date: 2026-11-15 09:30:00\r\n#Fields: date time c-ip cs-method cs-uri-stem sc-status\r\n"
       "2026-11-15 09:30:00 192.0.2.202 GET /index.html 200\r\n#Date: 2026-11-15 09:31:00\r\n2026-11-15 09:30:00 192.0.2.202 GET /index.html 200\r\n")
ELB = ('https 2026-11-15T09:30:00.186641Z app/lb/50dc 192.0.2.202:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" '
       '"curl/7.46.0" ECDHE TLSv1.2 "-"\n' * 2)
COMBINED = '192.0.2.202 - - [15/Nov/2026:09:30:00 +0000] "GET /index.html HTTP/1.1" 200 203023 "http://x/" "Mozilla/5.0"\n'


def test_logs_of_servers_are_answered_with_what_reads_them(site, tmp_path):
    produce = shlex.join(map(str, [binary("tallymill-produce", site.build), "--config", site.settings, "--dry-run", "--const", "event_name=page_view", "--rest", "event_data"]))
    for name, text, session, path_field in (("cloudfront.log", CLOUDFRONT, "c-ip", "cs-uri-stem"), ("iis.log", IIS, "c-ip", "cs-uri-stem"), ("elb.log", ELB, "4", "13"),
                                            ("access.log", COMBINED, "client", "path"), ("vhost.log", "example.org:443 " + COMBINED, "client", "path")):
        path = write(tmp_path, name, text)
        answer = site.run("tallymill-produce", path, "--const", "event_name=page_view", "--rest", "event_data")
        assert answer.code == 2 and str(path) in answer.err, answer
        said = re.search(r"say (awk .*) \.\.\.$|names: say (\(seq .*), and map|say (--format combined)", answer.err, re.M)
        if said.group(3):
            command = f"{produce} {said.group(3)} --map session_id={session} --map created_at=time {path}"
        else:
            command = (said.group(1) or said.group(2) + " --map created_at=2").replace("FILE", str(path)).replace("tallymill-produce", f"{produce} --map session_id={session}")
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        events = [json.loads(line)["value"] for line in done.stdout.splitlines()]
        assert done.returncode == 0 and {one["created_at"][:19] for one in events} == {"2026-11-15T09:30:00"}, (command, done)
        assert {one["session_id"].partition(":")[0] for one in events} == {"192.0.2.202"} and "/" in events[0]["event_data"][path_field], (command, done)


def test_what_no_one_can_read_is_refused_with_what_it_is(site, tmp_path):
    for name, text, said in (("login.csv", "<!DOCTYPE html><html>", "a web page"), ("dump.sql", "--\n-- PostgreSQL database dump\n--\n", "SQL"), ("rows.sql", "INSERT INTO e VALUES (1);\n", "SQL"),
                             ("table.txt", " event_name | n \n------------+---\n login      | 1\n", "psql --csv"), ("events.xml", '<?xml version="1.0"?><e/>', "XML"), ("utf32.csv", b"\0\0\xfe\xff" + table(",").encode("utf-32-be"), "iconv -f UTF-32"),
                             ("sheet.xls", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), "old Excel"), ("report.pdf", b"%PDF-1.7\n%\xe2\xe3\n", "a PDF"),
                             ("rows.dump", b"PGDMP\1\x0f\0\4\x08", "a dump of Postgres"), ("frame.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
                             ("table.msgpack", table(","), "no msgpack"), ("frame.pkl", pickle.dumps(objects()), "no text"), ("program.csv", pathlib.Path("/bin/true").read_bytes()[:400], "no text")):
        answer = site.run("tallymill-produce", *MAPPING, write(tmp_path, name, text))
        assert answer.code == 2 and said in answer.err, (name, answer)
    for text, said in (('{"event_name": {"S": "login"}}', "--map 'event_name=event_name.S'"), ('{"event_name": {"0": "login"}}', "lines=True"),
                       ('{"event_name": "login", "created_at": {"$date": "x"}}', "--map 'created_at=created_at.$date'"), ("one\ntwo\n", "no line of it is JSON"),
                       ('"{\\"event_name\\": \\"login\\"}"', "jq -c fromjson"),
                       ('{"event_name": "login", "n": -Infinity}', "Infinity")):
        events, answer = dry_run(site, *MAPPING, "--default", "created_at=2026-11-15T09:30:00Z", stdin=text.encode())
        assert answer.code == 1 and events == [] and said in answer.err, (text, answer)


def test_one_line_of_json_that_is_longer_than_a_record_says_where_the_events_are(site):
    features = json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "n": "x" * 1000}] * 5000})
    events, answer = dry_run(site, "--const", "event_name=login", "--rest", "event_data", stdin=features.encode())
    assert answer.code == 1 and events == [] and "jq -c '.features[]' FILE" in answer.err, answer
    events, answer = dry_run(site, "--const", "event_name=login", "--rest", "event_data", stdin=json.dumps(json.loads(features), indent=1).encode())
    assert answer.code == 1 and "jq -c '.features[]' FILE" in answer.err, answer


def test_a_bad_first_line_of_a_pipe_still_costs_one_line(site):
    good = b'{"event_name": "login"}\n'
    for bad in (b'gin", "session_id": "s,1"}\n', b"# comment\n", b"a\tb\tc\n", b"2026-11-15 INFO: started\n"):
        events, answer = dry_run(site, stdin=bad + good * 3)
        assert answer.code == 1 and len(events) == 3 and "1 lines would be rejected" in answer.err, (bad, answer)


def test_null_nan_and_yes_are_what_they_mean(site):
    text = ("event_name,session_id,user_id,is_internal,created_at,n\nlogin,\\N,\\N,yes,2026-11-15 09:30:00,\\N\nlogin,NULL,NULL,N,\\N,NULL\nlogin,s1,7,0,NULL,\"\\N\"\n"
            'login,s1,"NULL",on,\\N,\n')
    events, answer = dry_run(site, "--format", "csv", "--time-zone", "UTC", "--default", "created_at=2026-11-15T09:30:00Z", "--map", "event_name=event_name", "--map", "created_at=created_at",
                             *(word for name in ("session_id", "user_id", "is_internal") for word in ("--map", f"{name}={name}")), "--rest", "event_data", stdin=text.encode())
    assert answer.code == 1 and "stdin:5: user_id is no integer" in answer.err, answer
    assert [(one.get("session_id"), one.get("user_id"), one.get("is_internal", False), one["created_at"], one.get("event_data", {})) for one in events] == [
        (None, None, True, "2026-11-15T09:30:00Z", {}), ("NULL", None, False, "2026-11-15T09:30:00Z", {"n": "NULL"}), ("s1", 7, False, "2026-11-15T09:30:00Z", {"n": "\\N"})]
    lines = json.dumps({"event_name": "login", "event_data": {"n": math.nan, "m": [1.5, math.nan]}}) + "\n"
    events, answer = dry_run(site, stdin=lines.encode())
    assert answer.code == 0 and events[0]["event_data"] == {"n": None, "m": [1.5, None]}, answer
