"""takeover (P20): seconds without a commit after kill -9, under load.

First, every worker is killed with SIGKILL at a random moment and started again at once, under the same `consumer.instance`, as the units do it: seconds from
the kill to the first commit that follows a claim made after it, and until each topic partition that a producer feeds has had one. Then one of two workers is killed and never comes back: seconds until the other
has stored something of each of its topic partitions; Kafka's session time-out stands beside it, for nobody may take them sooner. At the end all is drained and the
checker (tests/checker, which shares no code with the product) counts what was lost and what is there twice among all acknowledged events.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time

import psycopg2

import topic
from drain import empty
from servers import ROOT, stack

SESSION_TIMEOUT_S = 10      # consumer/source.c
DEADLINE_S = 60
CLAIMED = "SELECT count(*), extract(epoch FROM min(claimed_at)) FROM tallymill.owners WHERE claimed_at > to_timestamp(%s)"
# Of each topic partition the first commit after its own claim.
SERVED = """
SELECT o.topic_partition, extract(epoch FROM min(b.committed_at)) FROM tallymill.owners o JOIN tallymill.batches b
  ON b.topic_partition = o.topic_partition AND b.committed_at > o.claimed_at AND b.committed_at > to_timestamp(%s)
WHERE o.claimed_at > to_timestamp(%s) GROUP BY 1"""


class Scene:
    def __init__(self, servers, partitions):
        self.servers, self.partitions, self.workers = servers, partitions, {}
        self.connection = psycopg2.connect(servers.dsn)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def ask(self, statement, *values):
        self.cursor.execute(statement, values or None)
        return self.cursor.fetchall()

    def start(self, name):
        self.workers[name] = self.servers.program("tallymill-consumer", "--set", f"consumer.instance={name}", *topic.words(topic.EVENTS)[2:])

    def kill(self, name):
        """SIGKILL; the process is gone when it returns."""
        worker = self.workers.pop(name)
        worker.kill()
        worker.wait(30)

    def served(self, since, wanted, deadline=DEADLINE_S):
        """Topic partition to the moment of its first commit under a claim made after `since`, once all the wanted ones have one."""
        limit = time.monotonic() + deadline
        while True:
            found = {number: float(at) for number, at in self.ask(SERVED, since, since) if number in wanted}
            if len(found) == len(wanted):
                return found
            if time.monotonic() > limit:
                raise RuntimeError(f"not served again within {deadline} s: topic partitions {sorted(set(wanted) - set(found))}")
            time.sleep(0.02)

    def owned_by(self, name):
        return {number for number, owner in self.ask("SELECT topic_partition, owner FROM tallymill.owners") if owner.endswith("/" + name)}

    def wait_until_shared(self):
        """Every worker owns something and every topic partition is fed: both have been started long enough."""
        limit = time.monotonic() + DEADLINE_S
        while not (all(self.owned_by(name) for name in self.workers) and len(self.ask("SELECT FROM tallymill.owners")) == self.partitions):
            if time.monotonic() > limit:
                raise RuntimeError("the workers do not share the topic partitions")
            time.sleep(0.1)


def kill_all(scene, source):
    """Seconds to (the first commit, the first of every topic partition) after all workers are killed and started again at once."""
    names = list(scene.workers)
    time.sleep(source.uniform(1, 3))        # no wait: any moment of a batch's life will do
    killed = time.time()
    for name in names:
        scene.kill(name)
    for name in names:
        scene.start(name)
    moments = scene.served(killed, range(scene.partitions)).values()
    return min(moments) - killed, max(moments) - killed


def kill_one(scene, name):
    """Seconds until another worker has stored something of each topic partition of one that never comes back."""
    orphans = scene.owned_by(name)
    killed = time.time()
    scene.kill(name)
    moments = scene.served(killed, orphans, 6 * SESSION_TIMEOUT_S).values()
    return max(moments) - killed


def check(servers, log):
    """(lost, twice, the verdict) by the checker."""
    done = subprocess.run([ROOT / "tests/checker/check.py", "--settings", servers.settings, "--acknowledged", log, "--drained", "--json"],
                          stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode == 2:
        raise RuntimeError("the checker could not check")
    verdict = json.loads(done.stdout)
    twice = sum(damage["kind"] in ("row twice", "dead letter twice", "both row and dead letter") for damage in verdict["damages"])
    return sum(damage["invariant"] == "I1" for damage in verdict["damages"]) - twice, twice, verdict


def arguments(words):
    parser = argparse.ArgumentParser(prog="tests/bench/run takeover", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second while it lasts")
    parser.add_argument("--kills", type=int, default=11, help="times that every worker is killed")
    parser.add_argument("--losses", type=int, default=3, help="times that one of two workers does not come back")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


def run_scene(scene, options):
    source = random.Random(options.seed)
    for number in range(options.workers):
        scene.start(f"bench-{number + 1}")
    scene.wait_until_shared()
    restarts = [kill_all(scene, source) for _ in range(options.kills)]
    losses = []
    for _ in range(options.losses if options.workers > 1 else 0):
        scene.wait_until_shared()
        losses.append(kill_one(scene, "bench-1"))
        scene.start("bench-1")
    return restarts, losses


def drain_rest(scene):
    """SIGTERM to all, then one worker to the end."""
    for worker in scene.workers.values():
        worker.terminate()
    for worker in scene.workers.values():
        worker.wait(30)
    if scene.servers.program("tallymill-consumer", "--until-end", *topic.words(topic.EVENTS)).wait(600):
        raise RuntimeError("the rest could not be drained")


def run(words):
    options = arguments(words)
    with stack() as servers:
        topic.make(servers, partitions=options.partitions)
        empty(servers)
        log = servers.state / "acknowledged"
        produce = servers.program("tallymill-produce", "--generate", str(options.rate * 3600), "--rate", str(options.rate), "--live", "--ack-log", log,
                                  "--set", "log.level=warn")
        scene = Scene(servers, options.partitions)
        try:
            restarts, losses = run_scene(scene, options)
            produce.terminate()
            produce.wait(60)
            drain_rest(scene)
        finally:
            for process in (produce, *scene.workers.values()):
                if process.poll() is None:
                    process.kill()
                    process.wait(30)
        lost, twice, verdict = check(servers, log)
        with open(log, encoding="ascii") as lines:
            acknowledged = sum(1 for _ in lines)
    first, every = sorted(one[0] for one in restarts), sorted(one[1] for one in restarts)
    seconds = {"first_commit": {"median": round(statistics.median(first), 2), "worst": round(first[-1], 2)},
               "every_topic_partition": {"median": round(statistics.median(every), 2), "worst": round(every[-1], 2)},
               "never_back": [round(one, 2) for one in losses]}
    figures = {"bench": "takeover", "ratio": seconds["first_commit"]["median"], "ratios": {"P20": seconds["first_commit"]["median"]}, "seconds": seconds,
               "session_timeout_s": SESSION_TIMEOUT_S, "kills": options.kills, "workers": options.workers, "rate": options.rate, "acknowledged": acknowledged, "lost": lost,
               "duplicated": twice, "checker_holds": verdict["holds"]}
    print(f"""
takeover: {options.workers} workers at {options.rate:,} events/s, all killed {options.kills} times and started again at once; {acknowledged:,} acknowledged events
  first commit             {seconds['first_commit']['median']} s (worst {seconds['first_commit']['worst']}); 2 wanted, 0.5 hoped for
  every topic partition    {seconds['every_topic_partition']['median']} s (worst {seconds['every_topic_partition']['worst']})
  one that never comes back: its topic partitions served after {', '.join(f'{one:.1f}' for one in losses) or 'not asked'} s; session time-out {SESSION_TIMEOUT_S} s
  lost {lost}, stored twice {twice}; the checker says {'that all holds' if verdict['holds'] else 'NO: ' + str(verdict['damages'][:3])}""", file=sys.stderr)
    return figures
