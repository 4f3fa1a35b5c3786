"""Topics that benches read: the generator's events, or rows of the table sent again as messages, changed by a query."""

import contextlib
import subprocess
import time

from confluent_kafka.admin import AdminClient, NewTopic

from servers import ROOT

EVENTS = "analytics-events"
REST = "event_name, event_category, session_id, user_id, event_data, is_internal, created_at"
COLUMNS = "id, " + REST
# The rows as they came in, numbered from 1.
NUMBERED = f"SELECT row_number() OVER (ORDER BY batch_id, ctid) AS n, {COLUMNS} FROM analytics_events"
# Ids without an order, as other clients may send them. Not random: the same rows get the same ids again.
UUID_V4 = f"SELECT n AS place, overlay(overlay(md5(id::text) PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid AS id, {REST} FROM ({NUMBERED}) r"


def words(topic):
    return ("--set", f"topics.events={topic}", "--set", "log.level=warn")


def make(servers, topic=EVENTS, partitions=8):
    """The topic, and the schema when it is not there yet."""
    subprocess.run([ROOT / "build/bin/tallymill", "migrate", "--config", servers.settings, *words(topic), "--set", f"topics.partitions={partitions}"],
                   check=True, stdout=subprocess.DEVNULL)


def wait_for(is_there, what):
    limit = time.monotonic() + 60
    while not is_there():
        if time.monotonic() > limit:
            raise RuntimeError(f"waited 60 s for {what}")
        time.sleep(0.1)


def has_leaders(admin, name, partitions):
    topics = admin.list_topics(timeout=30).topics
    return name in topics and [part.leader >= 0 for part in topics[name].partitions.values()] == [True] * partitions


@contextlib.contextmanager
def scratch(servers, name, partitions=8):
    """A topic that takes what those of `tallymill migrate` take, and is gone from the disk at the end: what was never written back need not be."""
    admin = AdminClient({"bootstrap.servers": servers.bootstrap})
    config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "4194304"}
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
    wait_for(lambda: has_leaders(admin, name, partitions), f"leaders of topic {name}")
    try:
        yield name
    finally:
        admin.delete_topics([name], operation_timeout=30)[name].result(60)
        wait_for(lambda: not any(servers.state.glob(f"**/data/{name}*")), f"the end of the files of topic {name}")    # a second behind the answer


def generate(servers, rows, topic=EVENTS, partitions=8, seed=1, live=False, batch=None):
    """The generator's events of the last day, or with `live` of the moment in which they are sent. batch: how many at most in one of Kafka's batches."""
    make(servers, topic, partitions)
    when = ("--live", "--rate", str(rows // 3)) if live else ("--days", "1")
    limit = ("--set", f"kafka.batch.num.messages={batch}") if batch else ()
    produce = servers.program("tallymill-produce", "--generate", str(rows), "--seed", str(seed), *when, *words(topic), *limit)
    if produce.wait(timeout=3600):
        raise RuntimeError("tallymill-produce failed")


def send(servers, query, topic, partitions=8):
    """Sends what the query gives (`place` and the columns of an event) in the order of `place`, a message a row."""
    make(servers, topic, partitions)
    lines = f"SELECT to_jsonb(e) - 'place' FROM ({query}) e ORDER BY place"
    reader = subprocess.Popen(["psql", "-qXAt", "-v", "FETCH_COUNT=20000", "-d", servers.dsn, "-c", lines], stdout=subprocess.PIPE)
    writer = subprocess.Popen([ROOT / "build/bin/tallymill-produce", "--config", servers.settings, *words(topic)], stdin=reader.stdout)
    reader.stdout.close()
    if writer.wait(timeout=3600) or reader.wait(timeout=60):
        raise RuntimeError(f"the rows could not be sent to {topic}")
