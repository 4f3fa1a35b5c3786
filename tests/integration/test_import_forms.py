"""What people export gets in: times, numbers and files in the forms in which they come, each as a user would import it."""

import json


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
