"""Tour: what deploy/demo shows once the programs are built.

Start the servers, make schema and topic, start two workers and an aggregator beside us, send, wait until the daily
statistics have everything, and show statistics, rates and the audit's verdict. Each step uses what a user would use:
deploy/stack, the programs, psql. What already runs is left running, unless it was started with other settings or the
program has been built anew since.

The workers are recorded in the stack's own pids/, so that one command, `deploy/stack stop`, ends everything.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time

from jars import DEPLOY
from postgres import environment_without_postgres
from state import State
from trouble import Trouble, tail

ROOT = os.path.dirname(DEPLOY)
BIN = os.path.join(ROOT, "build", "bin")
GENERATED = ["--generate", "200000", "--days", "100"]
SETTLE_SECONDS = 90     # for the rollups of a month
STALL_SECONDS = 120     # no progress for this long: something is wrong
READING = ("map", "const", "default", "rest", "format", "delimiter", "csv-types", "time-format", "time-zone", "time-unit")   # handed on to tallymill-produce
COLUMNS = 5             # events that get a column of their own in the table of days


def say(text):
    print("\n== " + text, flush=True)


def line(text=""):
    print("   " + text if text else "", flush=True)


def number(value):
    return "{:,}".format(int(value))


class Tour:
    def __init__(self, chosen):
        self.chosen = chosen
        self.state = State(chosen.state)
        self.settings = self.state.settings
        self.sets = [word for pair in chosen.set for word in ("--set", pair)]
        self.environment = environment_without_postgres()
        self.page = None    # where the dashboard is served

    def program(self, name, *arguments):
        """The argv of one of our programs with this stack's settings; a subcommand goes before the options."""
        lead = [arguments[0]] if name == "tallymill" else []
        return [os.path.join(BIN, name)] + lead + ["--config", self.settings] + self.sets + list(arguments[len(lead):])

    def run(self, argv, **options):
        """Run to the end in front of the user; Trouble when it fails."""
        code = subprocess.run(argv, env=self.environment, check=False, **options).returncode
        if code != 0:
            raise Trouble("this failed (exit code %d): %s" % (code, shlex.join(argv)), 2 if code == 2 else 1)

    def dsn(self):
        with open(self.settings) as source:
            return next(text.split("=", 1)[1].strip() for text in source if text.startswith("dsn"))

    def psql(self, sql, *options):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(), "-c", sql] + list(options),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=dict(self.environment, PGTZ="UTC"), timeout=300, check=False)
        if done.returncode != 0:
            raise Trouble("psql failed:\n" + done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def ask(self, sql):
        """The rows of a query as lists of text."""
        answer = self.psql(sql, "-A", "-t", "-F", "\t")
        return [row.split("\t") for row in answer.split("\n")] if answer else []

    def show(self, sql):
        for text in self.psql(sql, "-P", "footer=off", "-P", "null= ").split("\n"):
            line(text)

    # The servers and programs.

    def start_servers(self):
        say("Starting a private Kafka and Postgres" + (" that ask for passwords over TLS" if self.chosen.secure else ""))
        how = ["--secure"] if self.chosen.secure else []
        self.run([os.path.join(DEPLOY, "stack"), "start", "--state", self.state.folder, *how], stdout=subprocess.DEVNULL)
        self.state = State(self.chosen.state)

    def address(self, name):
        """Where the program of that name listens, on a port that it keeps."""
        if self.state.records.pid(name) is None:
            self.state.choose_port(name)
        return "127.0.0.1:%d" % self.state.made["ports"][name]

    def start_programs(self):
        say("Two workers and an aggregator")
        workers = [("worker-%d" % n, self.program("tallymill-consumer", "--set", "consumer.instance=demo-%d" % n,
                                                  "--set", "metrics.listen=" + self.address("worker-%d" % n))) for n in (1, 2)]
        self.programs = dict(workers + [("aggregator", self.program("tallymill-aggregator"))])
        for name, argv in self.programs.items():
            records = self.state.records
            if records.runs(name, argv):
                line("%-11s running already, pid %d" % (name, records.pid(name)))
                continue
            records.stop([name], [(signal.SIGTERM, 30), (signal.SIGKILL, 10)])
            pid = records.launch(name, argv, self.state.log(name), env=self.environment, cwd=ROOT)
            line("%-11s started, pid %d" % (name, pid))

    def start_dashboard(self):
        """The page of this stack, on a port that it keeps; nothing in a build without it."""
        asked = subprocess.run(self.program("tallymill", "dashboard", "--help"), env=self.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        if asked.returncode != 0:
            return
        records = self.state.records
        self.page = self.address("dashboard")
        argv = self.program("tallymill", "dashboard", "--set", "dashboard.listen=" + self.page,
                            "--set", "dashboard.workers=%s %s" % (self.address("worker-1"), self.address("worker-2")))
        if not records.runs("dashboard", argv):
            records.stop(["dashboard"], [(signal.SIGTERM, 30), (signal.SIGKILL, 10)])
            records.launch("dashboard", argv, self.state.log("dashboard"), env=self.environment, cwd=ROOT)
        self.programs["dashboard"] = argv

    def check_programs(self):
        for name in self.programs:
            if self.state.records.pid(name) is None:
                raise Trouble("the %s has ended; the end of %s:\n%s"
                              % (name, self.state.log(name), tail(self.state.log(name))))

    # Sending and waiting.

    def send(self):
        how = []
        for option in READING:
            how += ["--%s=%s" % (option, value) for value in getattr(self.chosen, option.replace("-", "_"))]
        how += ["--id-from-text"] if self.chosen.id_from_text else []
        if not self.chosen.files:
            say("Sending 200,000 made-up events of the last 100 days")
            self.run(self.program("tallymill-produce", *GENERATED))
            return
        say("Sending " + ", ".join(self.chosen.files))
        self.run(self.program("tallymill-produce", *how, *self.chosen.files))

    def behind(self):
        """(offsets in Kafka that are not in the ledger, stored rows that are in no statistics, days to rebuild)."""
        done = subprocess.run(self.program("tallymill", "status", "--json"), env=self.environment, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Trouble("tallymill status failed:\n" + done.stderr.decode("utf-8", "replace"))
        status = json.loads(done.stdout)
        if status["kafka"] != "reachable":
            raise Trouble("Kafka does not answer: " + status["kafka"])
        lag = sum(one["lag"] or 0 for one in status["topic_partitions"]) + status["unclaimed_offsets"]
        return lag, status["statistics"]["pending_rows"], status["statistics"]["dirty_days"]

    def wait(self):
        """Wait until all that was sent is stored and counted. Fails only when nothing moves any more."""
        say("Waiting until all is stored and counted")
        last, moved, told = None, time.monotonic(), 0.0
        while True:
            now = self.behind()
            if not any(now):
                break
            if now != last:
                last, moved = now, time.monotonic()
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                line("to be stored: %9s   stored, to be counted: %9s   days to rebuild: %s"
                     % (number(now[0]), number(now[1]), number(now[2])))
            self.check_programs()
            if time.monotonic() - moved > STALL_SECONDS:
                raise Trouble("nothing has moved for %d s; the logs are in %s" % (STALL_SECONDS, self.state.path("logs")))
            time.sleep(0.2)
        line("done")

    # Showing.

    def show_statistics(self, since):
        """The newest days that this run's events belong to."""
        say("Daily statistics (table analytics_daily_stats: UTC days, without internal users)")
        days = [row[0] for row in self.ask(
            "SELECT DISTINCT date FROM analytics_daily_stats WHERE date IN (SELECT unnest(days) FROM tallymill.batches"
            " WHERE committed_at > '%s') ORDER BY date DESC LIMIT 14" % since)]
        if not days:
            line("this run added no events")
            return
        these = "date IN (%s)" % ", ".join(quoted(day, "'") for day in days)
        names = [row[0] for row in self.ask("SELECT event_name FROM analytics_daily_stats WHERE %s GROUP BY 1"
                                            " ORDER BY sum(event_count) DESC, 1" % these)]
        if len(names) == 1:
            self.show("SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                      " WHERE %s ORDER BY date DESC" % these)
            return
        columns = ", ".join("sum(event_count) FILTER (WHERE event_name = %s) AS %s" % (quoted(name, "'"), quoted(name, '"'))
                            for name in names[:COLUMNS])
        self.show("SELECT date, sum(event_count) AS \"all events\", %s FROM analytics_daily_stats WHERE %s"
                  " GROUP BY date ORDER BY date DESC" % (columns, these))
        day = days[min(1, len(days) - 1)]       # the newest is today, which has only begun
        line()
        line("and all of %s:" % day)
        self.show("SELECT event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"
                  " WHERE date = '%s' ORDER BY event_count DESC, event_name LIMIT 20" % day)

    def show_rates(self, since):
        say("Rates")
        stored, duplicates, dead, seconds = self.ask(
            "SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(dead_letters), 0),"
            " coalesce(extract(epoch FROM max(committed_at) - '%s'), 0)"
            " FROM tallymill.batches WHERE committed_at > '%s'" % (since, since))[0]
        seconds = max(float(seconds), 0.001)
        line("stored in this run: %s events in %.1f s, %s a second, from the first one sent to the last one committed"
             % (number(stored), seconds, number(int(stored) / seconds)))
        if int(duplicates):
            line("already stored, and not stored again: %s" % number(duplicates))
        if int(dead):
            line("refused and kept as dead letters: %s" % number(dead))
            for reason, count in self.ask("SELECT reason, count(*) FROM tallymill.dead_letters GROUP BY 1 ORDER BY 2 DESC LIMIT 5"):
                line("   %-16s %s" % (reason, number(count)))

    def prove(self):
        """The audit and the comparison with the raw rows; whether both hold."""
        say("Is anything lost, stored twice or miscounted?")
        holds = True
        for command in ("audit", "verify"):
            holds = subprocess.run(self.program("tallymill", command), env=self.environment, check=False).returncode == 0 and holds
        return holds

    def archive(self):
        """The oldest month leaves for a directory, proven, and comes back; whether it did, and all still holds."""
        months = self.ask("SELECT to_char(min(month), 'YYYY-MM') FROM tallymill.attached_months"
                          " WHERE month < date_trunc('month', now() - interval '1 month') AND EXISTS (SELECT FROM tallymill.days WHERE day >= month)")
        if not months or not months[0][0]:
            return True
        month, target = months[0][0], self.state.path("archive")
        os.makedirs(target, exist_ok=True)
        say("The oldest month, %s, leaves for a directory, and comes back" % month)
        out = self.program("tallymill", "archive", "--set", "archive.target=" + target, month)
        began = time.monotonic()
        while True:
            done = subprocess.run(out, env=self.environment, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if done.returncode != 1:
                break
            # Its rollups are computed beside the rest, one whose events have changed since after its cadence: until then it waits.
            if time.monotonic() - began > SETTLE_SECONDS:
                line("not yet: %s" % done.stderr.decode("utf-8", "replace").strip())
                return True
            self.check_programs()
            time.sleep(1)
        if done.returncode != 0:
            raise Trouble("tallymill archive failed:\n" + done.stderr.decode("utf-8", "replace"), done.returncode)
        left = self.ask("SELECT rows, bytes, extract(epoch FROM dropped_at - started_at)::numeric(9, 1) FROM tallymill.archives"
                        " WHERE month = '%s-01' AND state = 'dropped'" % month)[0]
        line("%s events written to %s bytes in %s, proven and dropped in %s s" % (number(left[0]), number(left[1]), target, left[2]))
        began = time.monotonic()
        self.run(self.program("tallymill", "restore", month), stdout=subprocess.DEVNULL)
        line("and restored in %.1f s" % (time.monotonic() - began))
        holds = subprocess.run(self.program("tallymill", "audit"), env=self.environment, check=False, stdout=subprocess.PIPE).returncode == 0
        line("the audit holds" if holds else "the audit does NOT hold: tallymill audit")
        return holds

    def tell_what_next(self):
        tallymill = shlex.quote(os.path.join(BIN, "tallymill"))
        config = shlex.quote(self.settings)
        stack = shlex.quote(os.path.relpath(os.path.join(DEPLOY, "stack")))
        where = "" if self.chosen.state == default_state(False) else " --state " + shlex.quote(self.state.folder)
        say("Where things are")
        line("settings   %s  (every program takes it with --config)" % self.settings)
        line("logs       %s" % self.state.path("logs"))
        line("programs   %s" % BIN)
        say("What to try next")
        line("%s status --config %s" % (tallymill, config))
        line("psql %s" % shlex.quote(self.dsn()))
        line("psql %s -c 'SELECT date, stage, sessions FROM analytics_daily_funnel ORDER BY date DESC, step LIMIT 5'    # a minute from now"
             % shlex.quote(self.dsn()))
        line("echo '{\"event_name\":\"login\",\"session_id\":\"me\"}' | %s --config %s"
             % (shlex.quote(os.path.join(BIN, "tallymill-produce")), config))
        line("kill -9 %s    # a worker; the other takes over and nothing is stored twice. deploy/demo starts it again"
             % self.state.records.pid("worker-1"))
        say("How to stop")
        line("%s stop%s     stops the programs and servers, keeps the data; deploy/demo goes on with it" % (stack, where))
        line("%s reset%s    stops them and deletes the data" % (stack, where))
        if self.page:
            say("Look at it")
            line("http://%s/" % self.page)
            line("http://%s/?page=pipeline    what the operator sees, live" % self.page)

    def go(self):
        self.start_servers()
        say("Schema and topic")
        self.run(self.program("tallymill", "migrate"))
        self.start_programs()
        self.start_dashboard()
        since = self.ask("SELECT clock_timestamp()")[0][0]
        self.send()
        self.wait()
        self.show_statistics(since)
        self.show_rates(since)
        holds = self.prove()
        holds = (self.chosen.files != [] or self.archive()) and holds
        self.tell_what_next()
        return 0 if holds else 1


def quoted(text, mark):
    return mark + text.replace(mark, mark * 2) + mark


def default_state(secure):
    return os.path.join(ROOT, ".stack-secure" if secure else ".stack")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="deploy/demo", add_help=False)
    parser.add_argument("files", nargs="*")
    for option in (*READING, "set"):
        parser.add_argument("--" + option, action="append", default=[])
    parser.add_argument("--id-from-text", action="store_true")
    parser.add_argument("--state")
    parser.add_argument("--secure", action="store_true")
    chosen = parser.parse_args(arguments)
    chosen.state = chosen.state or default_state(chosen.secure)
    return chosen


def main():
    try:
        return Tour(parse(sys.argv[1:])).go()
    except Trouble as trouble:
        print("demo: %s" % trouble, file=sys.stderr)
        return trouble.code
    except subprocess.TimeoutExpired as late:
        print("demo: %s" % late, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; what was started goes on: `deploy/stack stop` stops it", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
