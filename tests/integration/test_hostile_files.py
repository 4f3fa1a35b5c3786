"""The parts "Files" and "Settings" of the list of hostile inputs: each with the outcome it must have, and one table of what came.

The table is printed (tests/run shows it with -- -rP) and written to hostile-files.txt in the test's folder.
"""

import gzip
import json

from .harness.publisher import now_us

GOOD = b'{"event_name": "login", "session_id": "s"}\n'
CSV = ("--format", "csv", "--map", "event_name=name", "--rest", "event_data")
CSV_HEAD = b"name,text\n"
CSV_GOOD = b"login,x\n"


def long_line(megabytes):
    return b'{"event_name": "login", "event_data": {"x": "' + b"x" * (megabytes << 20) + b'"}}\n'


# What it is, options, bytes (or what makes them), how many events, the rejected lines with a word of the reason.
FILES = [
    ("NDJSON: half a last line", (), GOOD + b'{"event_name": "lo', 1, [(2, "no JSON")]),
    ("NDJSON: a last line without its end", (), GOOD + GOOD.rstrip(), 2, []),
    ("NDJSON: a line of 100 MB", (), lambda: GOOD + long_line(100) + GOOD, 2, [(2, "longer than 4 MiB")]),
    ("NDJSON: a line of 100 MB without its end", (), lambda: GOOD + long_line(100).rstrip(), 1, [(2, "longer than 4 MiB")]),
    ("NDJSON: attributes of more than 64 KiB", (), long_line(1) + GOOD, 1, [(1, "event_data")]),
    ("NDJSON: a byte order mark", (), b"\xef\xbb\xbf" + GOOD, 1, []),
    ("NDJSON: CR LF", (), GOOD.replace(b"\n", b"\r\n") * 2, 2, []),
    ("NDJSON: empty lines", (), b"\n \n" + GOOD + b"\r\n", 1, []),
    ("NDJSON: a key twice", (), b'{"event_name": "login", "event_name": "login"}\n' + GOOD, 1, [(1, "duplicate")]),
    ("NDJSON: a key twice inside", (), b'{"event_name": "login", "event_data": {"a": 1, "a": 1}}\n' + GOOD, 1, [(1, "duplicate")]),
    ("NDJSON: no object", (), b'[1]\n"x"\n5\n' + GOOD, 1, [(1, "no JSON object"), (2, "JSON"), (3, "JSON")]),
    ("NDJSON: invalid UTF-8", (), b'{"event_name": "\xc3\x28"}\n' + GOOD, 1, [(1, "invalid UTF-8")]),
    ("NDJSON: a NUL, as a byte and escaped", (), b'{"event_name": "a\0b"}\n{"event_name": "a\\u0000b"}\n' + GOOD, 1, [(1, ""), (2, "NUL")]),
    ("NDJSON: 100,000 levels", (), b"[" * 100_000 + b"\n" + GOOD, 1, [(1, "JSON")]),
    ("NDJSON: an integer beyond int64, a number beyond double", (), b'{"event_name": "login", "user_id": 9223372036854775808}\n'
     b'{"event_name": "login", "event_data": {"x": 1e999}}\n' + GOOD, 1, [(1, "user_id is above 2^63 - 1"), (2, "x is no number that a double can hold")]),
    ("an empty file", (), b"", 0, []),
    ("NDJSON in gzip that was cut", (), gzip.compress(GOOD * 5000)[:-20], None, []),
    ("CSV: quotes, delimiters and line ends in quotes", CSV, CSV_HEAD + b'login,"a ""b"", c\r\nd"\nlogin,x\n', 2, []),
    ("CSV: a byte order mark and CR LF", CSV, b"\xef\xbb\xbf" + (CSV_HEAD + CSV_GOOD).replace(b"\n", b"\r\n"), 1, []),
    ("CSV: a column too few, one too many", CSV, CSV_HEAD + b"login\nlogin,x,y\n" + CSV_GOOD, 1, [(2, "1 field,"), (3, "3 fields")]),
    ("CSV: a column is missing from the header", ("--format", "csv"), b"kind,text\n" + CSV_GOOD, 0, [(2, "event_name is missing")]),
    ("CSV: a quote inside a field, text behind a quote", CSV, CSV_HEAD + b'login,a"b\nlogin,"a"b\n' + CSV_GOOD, 1, [(2, "a quote stands"), (3, "closing quote")]),
    ("CSV: a quote that is never closed", CSV, CSV_HEAD + b'login,"a\n' + CSV_GOOD * 2, 2, [(2, "never closed")]),
    ("CSV: a record of 100 MB", CSV, lambda: CSV_HEAD + b"login," + b"x" * (100 << 20) + b"\n" + CSV_GOOD, 1, [(2, "longer than 4 MiB")]),
    ("CSV: half a last record", CSV, CSV_HEAD + CSV_GOOD + b"login", 1, [(3, "1 field,")]),
    ("CSV: invalid UTF-8, a NUL", CSV, CSV_HEAD + b"login,\xff\nlogin,a\0b\n" + CSV_GOOD, 1, [(2, "UTF-8"), (3, "NUL")]),
    ("CSV: a name twice in the header", CSV, b"name,name\n" + CSV_GOOD, None, []),
    ("msgpack: an object that is cut", ("--format", "msgpack"), b"\x81\xaaevent_name\xa5login\x81\xaaevent", 1, [(2, "ends inside")]),
    ("msgpack: no map, a key twice", ("--format", "msgpack"), b"\x01\x82\xa1a\x01\xa1a\x02\x81\xaaevent_name\xa5login", 1, [(1, "no map"), (2, "stands twice")]),
    ("msgpack: a map that declares 4 G entries", ("--format", "msgpack"), b"\x81\xaaevent_name\xa5login\xdf\xff\xff\xff\xff", 1, [(2, "ends inside")]),
    ("msgpack: byte c1", ("--format", "msgpack"), b"\x81\xaaevent_name\xa5login\xc1", None, []),
]


def settings_with(site, lines):
    return site.settings.read_text() + lines


def hostile_settings(site, folder):
    """What it is, the text of the settings file, further options, what the message must name; None: it must work."""
    secret = folder / "secret"  # a folder cannot be read as a secret, not even by root
    secret.mkdir()
    return [
        ("an unknown key", settings_with(site, "[log]\nlevle = info\n"), (), [":{last}", "log.levle", "log.level"]),
        ("an unknown section", settings_with(site, "[lag]\nlevel = info\n"), (), [":{last}", "lag.level"]),
        ("a bad unit", settings_with(site, "[batch]\nmin_age = 5 parsecs\n"), (), [":{last}", "batch.min_age"]),
        ("a value out of range", settings_with(site, "[memory]\nmax = 1 B\n"), (), [":{last}", "memory.max"]),
        ("no value of the list", settings_with(site, "[catalogue]\nunknown = maybe\n"), (), [":{last}", "catalogue.unknown"]),
        ("a line that is no setting", settings_with(site, "[log]\nlevel\n"), (), [":{last}"]),
        ("a secret file that cannot be read", settings_with(site, f"[kafka]\nssl.key.password = @{secret}\n"), (), [":{last}", "kafka.ssl.key.password", str(secret)]),
        ("a kafka.* key that is forced", settings_with(site, "[kafka]\nenable.idempotence = false\n"), (), [":{last}", "kafka.enable.idempotence"]),
        ("another one", settings_with(site, "[kafka]\nacks = 1\n"), (), [":{last}", "kafka.acks"]),
        ("an unknown kafka.* key", settings_with(site, "[kafka]\nno.such.property = 1\n"), (), [":{last}", "kafka.no.such.property"]),
        ("a line of 2,000 bytes", site.settings.read_text().replace("dsn = ", "dsn = " + " " * 2000 + "application_name=long "), (), None),
        ("a file that is not there", None, ("--config", "/nonexistent/settings.ini"), ["/nonexistent/settings.ini"]),
    ]


def test_hostile_files_have_their_one_outcome(make_site, tmp_path):
    site = make_site(**{"window.oldest": "2026-01-01"})
    table, wrong, end = [], [], 0
    source, rejects = tmp_path / "hostile", tmp_path / "rejects"
    for what, words, data, events, bad in FILES:
        source.write_bytes(data() if callable(data) else data)
        done = site.run("tallymill-produce", *words, "--reject-file", rejects, source)
        now = sum(site.end_offsets().values())
        sent, end = now - end, now
        told = [json.loads(line) for line in rejects.read_text().splitlines()]
        outcome = f"exit {done.code}, {sent} sent" + "".join(f"; line {one['line']}: {one['reason']}" for one in told)
        table.append((what, outcome if told or done.code == 0 else f"{outcome}; {done.err.splitlines()[0].split('hostile', 1)[-1]}"))
        if events is None:  # the file itself is broken: what came before it is sent
            right = done.code == 1 and "hostile" in done.err
        else:
            right = (done.code == (1 if bad else 0) and sent == events and [one["line"] for one in told] == [line for line, _ in bad]
                     and all(word in one["reason"] for one, (_, word) in zip(told, bad)))
        if not right:
            wrong.append((what, done))
    show(tmp_path, "Files", table)
    assert not wrong, wrong
    site.drain()
    assert site.outcomes() == (end, 0, 0, 0), "what was sent is stored, whatever it was"


def test_hostile_settings_are_refused_with_their_place(make_site, tmp_path):
    site = make_site()
    table, wrong = [], []
    good = site.settings.read_text()
    for what, text, words, named in hostile_settings(site, tmp_path):
        site.settings.write_text(text or good)
        last = f"{site.settings.name}:{len((text or good).splitlines())}"
        done = site.run("tallymill-produce", "--const", f"event_data.at={now_us()}", *words, stdin=GOOD)
        sent = sum(site.end_offsets().values())
        table.append((what, f"exit {done.code}, {sent} sent" + (f"; {done.err.splitlines()[0]}" if done.code else "")))
        if named is None:
            right = done.code == 0 and sent == 1
        else:
            right = done.code == 2 and sent == 0 and all(name.replace(":{last}", last) in done.err for name in named)
        if not right:
            wrong.append((what, done))
        if sent:
            break_even(site)
    show(tmp_path, "Settings", table)
    assert not wrong, wrong


def break_even(site):
    """A fresh topic for the next input: `sent` counts from 0 again."""
    site.delete_topic()
    site.must("tallymill", "migrate")


def show(folder, title, table):
    width = max(len(what) for what, _ in table)
    lines = [title] + [f"  {what:<{width}}  {outcome[:150]}" for what, outcome in table]
    print("\n".join(lines))
    with open(folder / "hostile-files.txt", "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
