"""`tallymill lag` against what Kafka's own tools would say, and `tallymill top` on a terminal and without one."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from .harness.program import die_with_parent, environment, with_parent
from .harness.publisher import events
from .harness.waiting import wait_until


def test_lag_has_a_line_for_each_topic_partition_in_offsets_and_seconds(site):
    site.send(events(100))
    site.drain()
    before = time.time()
    site.send(events(60, seed=2))
    ends, positions = site.end_offsets(), site.positions()
    answer = json.loads(site.must("tallymill", "lag", "--json").out)
    elapsed = time.time() - before
    assert answer["topic"] == site.topic and answer["lag"] == 60 and 0 < answer["lag_seconds"] <= elapsed + 1, answer
    for log in answer["topic_partitions"]:
        number = log["topic_partition"]
        assert (log["next_offset"], log["log_end"], log["lag"]) == (positions[number], ends[number], ends[number] - positions[number]), log
        assert log["lag_seconds"] == 0 if log["lag"] == 0 else log["lag_seconds"] > 0, log
        assert log["owner"] and log["last_commit_seconds"] >= 0 and log["lost"] == 0, log
    lines = site.must("tallymill", "lag").out.splitlines()
    assert len(lines) == 1 + len(ends) and all(line.split()[:5] == [site.topic, str(number), str(positions[number]), str(ends[number]), str(ends[number] - positions[number])]
                                               for number, line in enumerate(lines[1:])), lines
    site.drain()
    answer = json.loads(site.must("tallymill", "lag", "--json").out)
    assert answer["lag"] == 0 and answer["lag_seconds"] == 0, answer


def test_lag_counts_what_nobody_has_claimed_and_fails_without_kafka(site):
    site.send(events(10))
    answer = json.loads(site.must("tallymill", "lag", "--json").out)
    assert answer["lag"] == 10 and all(log["owner"] is None and log["next_offset"] is None for log in answer["topic_partitions"]), answer
    away = site.tallymill("lag", "--set", "kafka.bootstrap.servers=127.0.0.1:1")
    assert away.code == 1 and away.out == "" and "127.0.0.1:1" in away.err, away


def test_a_topic_that_is_gone_is_no_kafka_that_is_away(site):
    """Made anew under its name it would be another log: workers would stop there."""
    site.send(events(10))
    site.drain()
    site.delete_topic()
    wait_until(lambda: "does not exist" in site.tallymill("lag").err, 30, "the topic to be gone")
    status, lag, top = site.must("tallymill", "status"), site.tallymill("lag"), site.must("tallymill", "top")
    assert "Kafka: the lag is unknown: topic " in status.out and "unreachable" not in status.out, status
    assert lag.code == 2 and lag.out == "" and f"\nKafka: topic {site.topic} does not exist" in top.out, (lag, top)
    for said in (status.out, lag.err, top.out):
        assert "the books have positions of it" in said and f"tallymill topic renew {site.topic} --yes" in said and f"tallymill topic retire {site.topic} --yes" in said, said


def test_a_topic_that_was_never_read_is_made_by_migrate(make_site):
    site = make_site()
    site.delete_topic()
    wait_until(lambda: "does not exist" in site.tallymill("lag").err, 30, "the topic to be gone")
    status = site.must("tallymill", "status")
    assert "Kafka: the lag is unknown: " in status.out and "run: tallymill migrate" in status.out, status


def test_lag_that_is_watched_looks_again_and_again(site):
    site.send(events(10))
    watched = subprocess.Popen(with_parent(site.command("tallymill", "lag", "--json", "--watch")), stdout=subprocess.PIPE, env=environment())
    try:
        assert json.loads(watched.stdout.readline())["lag"] == 10
        site.drain()
        wait_until(lambda: json.loads(watched.stdout.readline())["lag"] == 0, 30, "the lag to be gone")
    finally:
        watched.terminate()
        watched.wait(10)


class Terminal:
    """A program on a terminal of its own: what it has drawn, keys, the window's size."""

    def __init__(self, command, rows=30, columns=120):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            die_with_parent()
            os.execve(command[0], command, environment())
        self.drawn = b""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """All that was drawn so far."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                self.drawn += os.read(self.fd, 65536)
            except OSError:    # the program has ended
                break
        return self.drawn.decode()

    def pictures(self):
        return self.read().split("\x1b[H")[1:]

    def key(self, key):
        os.write(self.fd, key.encode())

    def flags(self):
        return termios.tcgetattr(self.fd)[3]

    def wait(self, deadline=20):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return pid and (os.waitstatus_to_exitcode(status),)
        (code,) = wait_until(ended, deadline, "the program to end")
        return code

    def close(self):
        os.close(self.fd)


@pytest.fixture(name="terminal")
def fixture_terminal(site):
    site.send(events(200))
    site.drain()
    site.send(events(30, seed=2))
    made = Terminal(site.command("tallymill", "top"))
    yield made
    try:
        os.kill(made.pid, signal.SIGKILL)
        os.waitpid(made.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    made.close()


def plain(picture):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", picture).replace("\r", "")


def test_top_draws_on_the_terminal_and_gives_it_back(site, terminal):
    wait_until(lambda: len(terminal.pictures()) >= 3, 30, terminal.read)
    flags = terminal.flags()
    assert not flags & termios.ECHO and not flags & termios.ICANON
    shown = plain(terminal.pictures()[-1])
    assert site.topic in shown and re.search(r"lag +30 ", shown) and "q ends" in shown and "topic partition" in shown, shown
    assert terminal.read().count("\x1b[2J") == 1    # what is drawn over is never blank
    site.drain()
    wait_until(lambda: re.search(r"lag +0 ", plain(terminal.pictures()[-1])), 30, terminal.read)
    assert max(int(rate.replace(",", "")) for picture in terminal.pictures() for rate in re.findall(r"stored +([\d,]+) /s", plain(picture))) > 0
    terminal.key("q")
    assert terminal.wait() == 0
    assert terminal.read().endswith("\x1b[?25h\x1b[?1049l")
    assert terminal.flags() & termios.ECHO and terminal.flags() & termios.ICANON


def test_top_pauses_and_fits_the_window(terminal):
    wait_until(lambda: len(terminal.pictures()) >= 2, 30, terminal.read)
    terminal.key("p")
    wait_until(lambda: "paused" in terminal.pictures()[-1], 30, terminal.read)
    terminal.resize(6, 20)

    def fits():
        lines = plain(terminal.pictures()[-1]).split("\n")
        return len(lines) == 6 and all(len(line) <= 20 for line in lines)

    wait_until(fits, 30, terminal.read)
    terminal.resize(30, 120)
    terminal.key("p")
    wait_until(lambda: "p pauses" in terminal.pictures()[-1], 30, terminal.read)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 0 and terminal.read().endswith("\x1b[?1049l")


def test_top_without_a_terminal_is_one_plain_picture(site):
    site.send(events(100))
    site.drain()
    site.fold()
    site.database.run(f"INSERT INTO tallymill.dead_letters (topic, topic_partition, kafka_offset, reason, batch_id) VALUES ('{site.topic}', 0, 100000, 'format', 1)")
    shown = site.must("tallymill", "top").out
    assert "\x1b" not in shown and re.search(r"stored +0 /s", shown) and re.search(r"lag +0 ", shown), shown
    assert "statistics   up to date" in shown and "format 1 (of the last hour: 1)" in shown and len(re.findall(r"^ +\d+ +0 ", shown, re.MULTILINE)) == 4, shown


def test_top_says_first_whether_the_ledger_adds_up(site):
    def books():
        return re.search(r"^books +(.*)$", site.must("tallymill", "top").out, re.MULTILINE).group(1)

    assert books() == "nothing was stored yet"
    site.send(events(100))
    site.drain()
    assert re.fullmatch(r"add up, checked \d+ s ago: each offset is accounted for, once \(tallymill audit counts the rows too\); 100 offsets = 100 stored \+ 0 duplicates \+ 0 dead letters \+ 0 skipped \+ 0 gaps", books())
    with site.database.session() as session, session.cursor() as cursor:
        session.autocommit = False
        cursor.execute("LOCK TABLE tallymill.removals IN ACCESS EXCLUSIVE MODE")
        shown = site.must("tallymill", "top").out
        assert "books        not proven at the moment: " in shown and re.search(r"lag +0 ", shown), shown
    site.database.run("INSERT INTO tallymill.gaps (topic, topic_partition, first_offset, next_offset, reason) SELECT topic, topic_partition, next_offset, next_offset + 7, 'retention'"
                      " FROM tallymill.batches ORDER BY next_offset DESC LIMIT 1")
    assert re.match(r"add up, checked \d+ s ago: 7 offsets were gone from Kafka before they were read, each other one is accounted for, once \(tallymill audit counts the rows too\); 107 offsets = 100 stored", books())
    site.database.run("UPDATE tallymill.gaps SET first_offset = first_offset + 3, next_offset = next_offset + 3")
    assert re.match(rf"do not hold \(run: tallymill audit --deep\), damages: 1, the first: {site.topic}, topic partition \d, offset \d+: 3 offsets have no outcome", books())


def test_top_without_a_database_says_so_in_its_picture_too(site):
    away = site.tallymill("top", "--set", "postgres.dsn=host=127.0.0.1 port=1")
    assert away.code == 1 and "port 1" in away.err, away
    assert site.topic in away.out and re.search(r"^Postgres does not answer: .*port 1", away.out, re.MULTILINE) and "lag               unknown" in away.out, away
    without = site.tallymill("top", "--set", "postgres.dsn=" + site.database.dsn + " dbname=no_such_database")
    assert without.code != 0 and without.err, without


def test_top_without_kafka_says_so_in_its_picture(site):
    shown = site.must("tallymill", "top", "--set", "kafka.bootstrap.servers=127.0.0.1:1").out
    assert "Kafka does not answer: " in shown and "statistics   up to date" in shown, shown
