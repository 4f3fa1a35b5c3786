"""Small files like those that strangers export, imported as a user would: rows and their days equal an independent count (Python's csv, json and re).

The real ones are larger and not ours to hand on (test_real_files.py). These have their oddities: the encodings, quotes and clocks that programs write.
"""

import collections
import csv
import datetime
import gzip
import io
import json
import random
import re

DAYS = 5
FIRST = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) - datetime.timedelta(days=10)
WORDS = ["plain", "two words", "a,b;c\td", 'say "hi"', "a line\nand another", "caf\xe9", "\u65e5\u672c", "", " blanks ", "'", "\\", "1,234.50", "=1+1", "NULL"]


def times(draw, count):
    """In no order, some at a day's very ends."""
    ends = [FIRST, FIRST + datetime.timedelta(days=1, microseconds=-1), FIRST + datetime.timedelta(days=DAYS, seconds=-1)]
    return ends + [FIRST + datetime.timedelta(seconds=draw.randrange(DAYS * 86400)) for _ in range(count - len(ends))]


def write_csv(rows, **how):
    text = io.StringIO()
    csv.writer(text, **how).writerows(rows)
    return text.getvalue()


def unicode_text(draw):
    """Excel's "Unicode text": UTF-16 with its mark, tabs, CR LF."""
    rows = [[at.strftime("%Y-%m-%d %H:%M:%S"), draw.choice(WORDS), f"v{draw.randrange(40)}"] for at in times(draw, 120)]
    data = write_csv([["Date", "Note", "Visitor"], *rows], delimiter="\t", lineterminator="\r\n").encode("utf-16")
    counted = [row["Date"][:10] for row in csv.DictReader(io.StringIO(data.decode("utf-16"), newline=""), delimiter="\t")]
    return "unicode.csv", data, counted, ("--map", "created_at=Date", "--map", "session_id=Visitor", "--time-zone", "UTC")


def german_excel(draw):
    """sep=, semicolons, days first, commas in numbers, a column without a name."""
    rows = [[at.strftime("%d.%m.%Y %H:%M"), draw.choice(WORDS), f"{draw.randrange(1000)},{draw.randrange(100):02}", ""] for at in times(draw, 110)]
    text = "sep=;\r\n" + write_csv([["Zeitpunkt", "Notiz", "Betrag", ""], *rows], delimiter=";")
    read = csv.DictReader(io.StringIO(text.partition("\r\n")[2], newline=""), delimiter=";")
    counted = [datetime.datetime.strptime(row["Zeitpunkt"], "%d.%m.%Y %H:%M").date().isoformat() for row in read]
    return "excel.csv", text.encode(), counted, ("--map", "created_at=Zeitpunkt", "--time-format", "%d.%m.%Y %H:%M", "--time-zone", "UTC")


def quoted(draw):
    """Every text in quotes, with line ends, quotes and delimiters inside; numbers without; the header again where the next month was put behind."""
    rows = [[draw.choice(WORDS), int(at.timestamp() * 1000), draw.choice(WORDS)] for at in times(draw, 130)]
    head = write_csv([["note", "ts", "more"]], quoting=csv.QUOTE_NONNUMERIC)
    text = head + write_csv(rows[:70], quoting=csv.QUOTE_NONNUMERIC) + "\ufeff" + head + write_csv(rows[70:], quoting=csv.QUOTE_NONNUMERIC)
    read = [row for row in csv.reader(io.StringIO(text, newline="")) if row[1] != "ts"]
    counted = [datetime.datetime.fromtimestamp(int(row[1]) / 1000, datetime.timezone.utc).date().isoformat() for row in read]
    return "quoted.csv.gz", gzip.compress(text.encode()), counted, ("--map", "created_at=ts", "--time-unit", "ms")


def web_log(draw):
    """nginx behind a proxy: offsets, names of hosts, IPv6, requests that are none, quotes in agents."""
    lines = []
    zone = datetime.timezone(datetime.timedelta(hours=-8))
    for at in times(draw, 140):
        client = draw.choice(["192.0.2.7", "2001:db8::7", "example.org:443 198.51.100.9"])
        request = draw.choice(["GET /a?b=%22 HTTP/1.1", "-", "\\x16\\x03\\x01", "POST /x y HTTP/2.0", ""])
        local = at.astimezone(zone).strftime("%d/%b/%Y:%H:%M:%S %z")
        lines.append(f'{client} - {draw.choice(["-", "frank"])} [{local}] "{request}" {draw.choice([200, 304, 499])} {draw.choice(["-", 5120])} "-" "A \\"b\\" [c]"')
    text = "\n".join(lines) + "\n"
    counted = [datetime.datetime.strptime(at, "%d/%b/%Y:%H:%M:%S %z").astimezone(datetime.timezone.utc).date().isoformat() for at in re.findall(r" \[(../.*?)\] ", text)]
    return "access.log", text.encode(), counted, ("--format", "combined", "--map", "session_id=client", "--map", "created_at=time")


def event_export(draw):
    """An export of an analytics service: one array over many lines, local offsets, ids that are no UUIDs, NaN as Python writes it."""
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    events = [{"messageId": f"ajs-{n}", "anonymousId": f"a{n % 9}", "timestamp": at.astimezone(zone).isoformat(timespec="milliseconds"),
               "properties": {"note": draw.choice(WORDS), "ratio": draw.choice([0.5, float("nan"), 1e300]), "big": 2**64 - 1, "deep": {"list": [1, None]}}}
              for n, at in enumerate(times(draw, 150))]
    text = json.dumps(events, indent=draw.choice([1, 2]), ensure_ascii=draw.choice([True, False]))
    counted = [datetime.datetime.fromisoformat(one["timestamp"]).astimezone(datetime.timezone.utc).date().isoformat() for one in json.loads(text)]
    return "export.json", text.encode(), counted, ("--map", "id=messageId", "--id-from-text", "--map", "session_id=anonymousId", "--map", "created_at=timestamp", "--map",
                                                   "event_data=properties")


def test_files_like_those_of_strangers_become_as_many_rows_a_day_as_they_have(site, tmp_path):
    draw = random.Random(1511)
    expected = collections.Counter()
    for make in (unicode_text, german_excel, quoted, web_log, event_export):
        name, data, counted, words = make(draw)
        path = tmp_path / name
        path.write_bytes(data)
        rest = () if "event_data=properties" in words else ("--rest", "event_data")
        site.must("tallymill-produce", path, "--const", f"event_name={name}", *words, *rest)
        assert len(counted) > 100
        expected.update((name, day) for day in counted)
    site.drain()
    site.fold()
    rows = site.database.rows("SELECT event_name, (created_at AT TIME ZONE 'UTC')::date::text, count(*) FROM analytics_events GROUP BY 1, 2")
    assert {tuple(row[:2]): row[2] for row in rows} == expected
    rows = site.database.rows("SELECT event_name, date::text, event_count::int FROM analytics_daily_stats")
    assert {tuple(row[:2]): row[2] for row in rows} == expected
    notes = site.database.rows("SELECT DISTINCT event_data->>'Note' FROM analytics_events WHERE event_name = 'unicode.csv'")
    assert {row[0] for row in notes} - {None} == set(WORDS) - {""}
