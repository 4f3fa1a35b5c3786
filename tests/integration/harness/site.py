"""One test's own corner of the shared stack: a topic, a migrated database, a consumer group and settings for them.

The servers are shared, since starting them takes longer than most tests; nothing else is, so that tests may
run in any order.  Programs that a test leaves running are killed when the test ends, and a sanitizer's report
in any log fails it.
"""

import itertools
import re
import secrets

import confluent_kafka
from confluent_kafka.admin import ConfigResource, NewPartitions
from psycopg2 import extensions

from checker.check import check_system
from checker.topic_log import watermarks

from .database import Database
from .program import Program, binary, environment, run
from .publisher import Publisher
from .waiting import wait_until

SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:")
SESSION_TIMEOUT_SECONDS = 6  # the shortest that a broker allows by default

STORED = "SELECT coalesce(json_agg(p), '[]')::text FROM tallymill.positions p"
FOLDED = """
    SELECT NOT EXISTS (SELECT FROM json_populate_recordset(NULL::tallymill.positions, %s::json) p
                       LEFT JOIN tallymill.folded f USING (topic, topic_partition) WHERE p.next_offset > coalesce(f.next_offset, 0))
       AND NOT EXISTS (SELECT FROM tallymill.days WHERE dirty_since IS NOT NULL)"""


class Site:
    """`worker()`, `aggregator()`, `produce()` and `tallymill()` run the programs with this site's settings."""

    _run = secrets.token_hex(3)  # a stack may outlive a run (TALLYMILL_TEST_STACK): no name may come twice
    _numbers = itertools.count(1)

    def __init__(self, stack, folder, build="release", partitions=4, migrate=True, **settings):
        name = f"{self._run}-{next(self._numbers)}"
        self.stack = stack
        self.folder = folder
        self.build = build
        self.topic = f"events-{name}"
        self.settings = folder / "settings.ini"
        self.programs = []
        self.environment = {}  # more variables for the programs that are started
        usual = {
            **{f"kafka.{name}": value for name, value in stack.kafka.items()},
            "kafka.session.timeout.ms": SESSION_TIMEOUT_SECONDS * 1000,
            "topics.events": self.topic,
            "topics.partitions": partitions,
            "consumer.group": f"group-{name}",
            "rollups.dir": no_rollups(folder),
            "uniques.subjects": no_subjects(folder),
        }
        template = self._template(usual, settings) if migrate and stack.templates is not None else "template0"
        self.database = stack.make_database(f"site-{name}", template)
        self.write_settings({**usual, "postgres.dsn": self.database.dsn, **settings})
        if migrate:
            migrated = self.tallymill("migrate")
            assert migrated.code == 0, migrated
        self.publisher = Publisher(stack.bootstrap, self.topic)

    def _template(self, usual, settings):
        """The name of a database that this build has migrated, with the shipped rollups or subjects where the site has them. Copied, it spares a site nine
        tenths of what a migration costs. A site's own `migrate` follows, makes the topic, and whatever else its settings ask for."""
        shipped = {name: "" for name in ("rollups.dir", "uniques.subjects") if settings.get(name) == ""}
        kind = (self.build, *shipped)
        if kind not in self.stack.templates:
            name = f"migrated-{'-'.join(kind)}"
            self.write_settings({**usual, **shipped, "postgres.dsn": self.stack.make_database(name).dsn})
            self.must("tallymill", "migrate", "--no-topic")
            self.stack.templates[kind] = name
        return self.stack.templates[kind]

    def write_settings(self, settings):
        """Settings by their dotted keys, as the INI file that every program takes."""
        sections = {}
        for key, value in settings.items():
            section, name = key.split(".", 1)
            sections.setdefault(section, []).append(f"{name} = {value}\n")
        self.settings.write_text("".join(f"[{section}]\n{''.join(lines)}\n" for section, lines in sections.items()))

    def connect_programs_by(self, dsn):
        """The programs' way to the database from now on; the test keeps its own."""
        text = self.settings.read_text()
        written = re.search(r"^dsn = (.*)$", text, re.MULTILINE).group(0)
        self.settings.write_text(text.replace(written, f"dsn = {dsn}"))

    def log_in_as(self, login):
        """Makes a login that has only the two services' roles, and has the programs use it."""
        self.database.run(f"""
            DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
            GRANT tallymill_ingest, tallymill_aggregate TO {login}""")
        self.connect_programs_by(extensions.make_dsn(self.database.dsn, user=login))

    def command(self, program, *words, build=None, bug=None):
        return [binary(program, build or self.build, bug), *self._with_settings(words)]

    def _with_settings(self, words):
        """The settings go behind a subcommand (`tallymill audit --config ...`), which comes first."""
        lead = 1 if words and not str(words[0]).startswith("-") else 0
        return [*map(str, words[:lead]), "--config", str(self.settings), *map(str, words[lead:])]

    def start(self, program, *words, name=None, build=None, failpoint=None, bug=None, **how):
        """Starts a program beside the test; its log is <name>.log in the test's folder."""
        name = name or f"{program}-{len(self.programs) + 1}"
        started = Program(self.command(program, *words, build=build, bug=bug), self.folder / f"{name}.log",
                          environment(failpoint, **self.environment), **how)
        self.programs.append(started)
        return started

    def worker(self, *words, instance=None, **how):
        """A worker; with `instance` a static member of the group by that name."""
        if instance:
            words = ("--set", f"consumer.instance={instance}", *words)
        return self.start("tallymill-consumer", *words, **how)

    def aggregator(self, *words, **how):
        return self.start("tallymill-aggregator", *words, **how)

    def run(self, program, *words, deadline=120, stdin=b"", build=None):
        return run(self.command(program, *words, build=build), deadline, stdin)

    def tallymill(self, *words, **how):
        return self.run("tallymill", *words, **how)

    def must(self, program, *words, **how):
        done = self.run(program, *words, **how)
        assert done.code == 0, done
        return done

    def produce(self, *words, **how):
        command = [binary("tallymill-produce", how.pop("build", None) or self.build), "--config", str(self.settings)]
        return run(command + list(map(str, words)), how.pop("deadline", 120), how.pop("stdin", b""))

    def send(self, made):
        """Publishes events (dicts) and returns once Kafka has acknowledged them all."""
        for one in made:
            self.publisher.send(one)
        self.publisher.flush()

    def drain(self, deadline=60, **how):
        """One worker that stores what the topic holds, and ends."""
        worker = self.worker("--until-end", **how)
        code = worker.wait(deadline)
        assert code == 0, f"worker exited with {code}:\n{worker.log()[-3000:]}"
        return worker

    def fold(self, **how):
        """One aggregator that folds what is committed, and ends."""
        return self.must("tallymill-aggregator", "--once", **how)

    def end_offsets(self):
        """Topic partition to the offset that its next message will get."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.stack.bootstrap, "group.id": "ends"})
        try:
            numbers = consumer.list_topics(self.topic, timeout=30).topics[self.topic].partitions
            return {number: watermarks(consumer, self.topic, number)[1] for number in numbers}
        finally:
            consumer.close()

    def positions(self):
        """Topic partition to the first offset not yet stored."""
        return dict(self.database.rows(
            "SELECT topic_partition, next_offset FROM tallymill.positions WHERE topic = %s", self.topic))

    def wait_until_drained(self, deadline=60, despite=(), meanwhile=None):
        """Returns once the ledger has reached what the topic holds now; `meanwhile` is called at every look."""
        ends = self.end_offsets()

        def reached():
            if meanwhile:
                meanwhile()
            positions = self.positions()
            return all(positions.get(number, 0) >= end for number, end in ends.items())

        wait_until(reached, deadline, lambda: f"the ledger to reach {ends}; it is at {self.positions()}", despite)

    def wait_until_folded(self, deadline=60, despite=(), meanwhile=None):
        """Returns once the daily statistics have taken in what the ledger holds now and no day waits for a rebuild. Beside live load there need be no
        moment in which they have taken in all."""
        stored = wait_until(lambda: self.database.value(STORED), deadline, "the ledger to be read", despite)

        def folded():
            if meanwhile:
                meanwhile()
            return self.database.value(FOLDED, stored)

        wait_until(folded, deadline, lambda: f"the statistics to take in {stored}", despite)

    def add_partitions(self, total):
        self.stack.admin.create_partitions([NewPartitions(self.topic, total)])[self.topic].result(30)

    def set_topic(self, **values):
        """The topic's settings, with "_" for ".": what migrate gives it, but for these."""
        settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "4194304", **{name.replace("_", "."): value for name, value in values.items()}}
        resource = ConfigResource("topic", self.topic, set_config=settings)
        self.stack.admin.alter_configs([resource])[resource].result(30)

    def delete_topic(self):
        """Deletes the topic, and returns once the broker no longer knows it."""
        admin = self.stack.admin
        admin.delete_topics([self.topic])[self.topic].result(30)
        wait_until(lambda: self.topic not in admin.list_topics(timeout=10).topics, 30, "the topic to be gone")

    def outcomes(self):
        """Sums of the ledger: (stored, duplicates, dead_letters, skipped)."""
        return tuple(map(int, self.database.rows(
            "SELECT coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(dead_letters), 0),"
            " coalesce(sum(skipped), 0) FROM tallymill.batches")[0]))

    def reasons(self):
        """Dead letters counted by reason."""
        return dict(self.database.rows("SELECT reason, count(*) FROM tallymill.dead_letters GROUP BY 1"))

    def verdict(self, acknowledged=None, drained=True):
        """The checker's verdict on this site, over all that its publisher knows to be acknowledged."""
        if acknowledged is None:
            acknowledged = self.publisher.acknowledged
        return check_system(self.database.dsn, self.stack.bootstrap, self.topic, acknowledged, drained)

    def assert_holds(self, **how):
        verdict = self.verdict(**how)
        assert verdict.holds(), "\n" + verdict.as_text()
        return verdict

    def close(self):
        for program in self.programs:
            program.kill()
        self.publisher = None  # its threads end with it
        self.stack.drop_database(self.database)
        self.stack.admin.delete_topics([self.topic])  # not waited for: it only spares a killed broker the recovery
        for program in self.programs:
            assert not SANITIZER_REPORT.search(program.log()), program.log()[-6000:]


def no_rollups(folder):
    """An empty directory: most tests are about something else, and 16 tables a site take time. "rollups.dir": "" asks for the shipped ones."""
    empty = folder / "no-rollups"
    empty.mkdir()
    return empty


def no_subjects(folder):
    """A file of no subjects, for the same reason: no uniques are counted. "uniques.subjects": "" asks for the shipped ones."""
    empty = folder / "no-subjects.sql"
    empty.write_text("-- none\n")
    return empty


def open_database(stack, name):
    """The database of that name on the stack, which must exist."""
    return Database(stack.database_dsn(name))
