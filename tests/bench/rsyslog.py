"""One rsyslogd of the bench's own: imkafka to ompgsql, on the loopback address, with a configuration, pid file and work directory of its own.

Tuned by its guides: one queue, in memory, on the ruleset (https://www.rsyslog.com/doc/rainerscript/queue_parameters.html), batches of some thousand messages, for
ompgsql makes one transaction of each (https://www.rsyslog.com/doc/configuration/modules/ompgsql.html), few worker threads, larger fetches for librdkafka through confParam. No JSON is parsed in
rsyslog: the row is made by json_populate_record in the same INSERT, which is less work than mmjsonparse and a template of fields.
"""

import os
import pathlib
import signal
import subprocess
import time

from processes import cpu_seconds
from topic import COLUMNS

DAEMON = pathlib.Path("/usr/sbin/rsyslogd")
# Without the first line rsyslog-pgsql would make a database of its own in a Postgres of the machine's.
PACKAGES = """
    echo 'rsyslog-pgsql rsyslog-pgsql/dbconfig-install boolean false' | debconf-set-selections
    apt-get install --no-install-recommends rsyslog rsyslog-kafka rsyslog-pgsql"""
CONFIGURATION = """# Written by tests/bench/rsyslog.py.
global(workDirectory="{folder}" maxMessageSize="1m")
module(load="imkafka")
module(load="ompgsql")
template(name="row" type="list" option.stdsql="on") {{
  constant(value="INSERT INTO analytics_events ({columns}) SELECT {columns} FROM json_populate_record(NULL::analytics_events, '")
  property(name="rawmsg")
  constant(value="')")
}}
ruleset(name="store" queue.type="FixedArray" queue.size="{queue}" queue.dequeueBatchSize="{batch}"
        queue.workerThreads="{threads}" queue.workerThreadMinimumMessages="{batch}") {{
  action(type="ompgsql" server="{host}" port="{port}" db="{dbname}" user="{user}" pass="none" template="row" action.resumeRetryCount="{retries}" action.resumeInterval="1")
}}
input(type="imkafka" topic="{topic}" broker="{broker}" consumergroup="{group}" ruleset="store"
      confParam=["queued.min.messages=100000", "fetch.message.max.bytes=4194304", "enable.partition.eof=false", "session.timeout.ms=10000"])
action(type="omfile" file="{folder}/rsyslog.log")
"""


def missing():
    """What to do before, or None when all is there."""
    modules = [path for name in ("imkafka", "ompgsql") for path in pathlib.Path("/usr/lib").glob(f"*/rsyslog/{name}.so")]
    return None if DAEMON.exists() and len(modules) == 2 else f"rsyslog is not installed; as root: {PACKAGES}"


class Rsyslog:
    """One private rsyslogd that reads one topic of JSON messages, in a consumer group of its own."""

    def __init__(self, servers, topic, options):
        self.folder = servers.state / f"rsyslog-{topic}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.file = self.folder / "rsyslog.conf"
        dsn = dict(word.split("=", 1) for word in servers.dsn.split())
        self.file.write_text(CONFIGURATION.format(folder=self.folder, columns=COLUMNS, topic=topic, group=self.folder.name, broker=servers.bootstrap, queue=options.peer_queue,
                                                  batch=options.peer_batch, threads=options.peer_threads, retries=options.peer_retries, **dsn))
        self.process, self.cpu = None, 0.0

    def start(self):
        self.process = subprocess.Popen([DAEMON, "-n", "-f", self.file, "-i", self.folder / "pid"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cpu_seconds(self):
        return self.cpu + (cpu_seconds(self.process.pid) if self.process else 0.0)

    def end(self, how=signal.SIGTERM):
        """Stops it; a process that does not stop within 30 s is killed."""
        self.process.send_signal(how)
        limit, pid = time.monotonic() + 30, 0
        while not pid:
            pid, _, usage = os.wait4(self.process.pid, os.WNOHANG)
            if not pid and time.monotonic() > limit:
                self.process.kill()
            time.sleep(0.02)
        self.process.returncode = 0
        self.process = None
        self.cpu += usage.ru_utime + usage.ru_stime
