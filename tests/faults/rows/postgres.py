"""Rows 19 to 24: Postgres dies, restarts, ends backends, or never tells what became of a COMMIT."""

import psycopg2
from psycopg2 import extensions

from faults.registry import row
from faults.wire import Wire, postgres_through
from integration.harness.database import Database
from integration.harness.waiting import wait_until

TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def restart(round, mode):
    """Down by that mode, up again, and answering."""
    round.stack.must("stop-postgres", "--mode", mode)
    round.struck(f"Postgres stopped: {mode}")
    round.stack.must("start-postgres")
    wait_until(lambda: Database(round.stack.dsn).value("SELECT 1"), 60, "Postgres to answer", psycopg2.OperationalError)


def die_often(round, mode, least, most=None, **how):
    round.start(workers=2, partitions=6, **how)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.let_flow(least, most)
            restart(round, mode)
            round.recovered()


@row(19, "postmaster killed (SIGKILL)", want=40, faults=5, limit=30, daily=1)
def postmaster_killed(round):
    die_often(round, "kill", 1, 4)


@row(20, "postmaster killed with synchronous_commit off: commits that were answered are gone", want=40, faults=5, limit=30, daily=1)
def postmaster_killed_without_synchronous_commit(round):
    site = round.make_site(partitions=6)
    name = extensions.parse_dsn(site.database.dsn)["dbname"]
    site.database.run(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    server = Database(round.stack.dsn)
    server.run("ALTER SYSTEM SET wal_writer_delay = '10s'")  # else nearly all of it is on disk 0.2 s later
    server.run("SELECT pg_reload_conf()")
    try:
        die_often(round, "kill", 1, 4)
        return round.settle()
    finally:
        server.run("ALTER SYSTEM RESET wal_writer_delay")
        server.run("SELECT pg_reload_conf()")


@row(21, "Postgres restarted (immediate) every 10 s", want=20, faults=4, limit=30)
def immediate_restarts(round):
    die_often(round, "immediate", 10)


@row(22, "every backend terminated, ten times a second", want=200, faults=50, limit=30, daily=20)
def backends_terminated(round):
    round.start(workers=2, partitions=6)
    with round.flow(rate=800):
        round.let_flow(1)
        struck = 0
        for number in range(10 * round.count):
            if struck >= round.count:
                break
            ended = round.site.database.value(TERMINATE)
            struck += ended
            if ended:
                round.struck(f"{ended} backends terminated", ended)
            round.let_flow(0.1)
        round.recovered()


@row(23, "COMMIT sent, its reply swallowed, the connection reset", want=1000, faults=100, limit=30, daily=25, plain_servers="its proxy reads what is said to Postgres")
def commit_reply_swallowed(round):
    site = round.make_site(partitions=6)
    where = extensions.parse_dsn(site.database.dsn)
    with Wire(where.get("host", "127.0.0.1"), where["port"], commits=True, seed=round.random.getrandbits(32)) as wire:
        wire.before_the_server_knows = 0.3
        wire.swallow_every = 2  # every second one gets through, so that there is progress
        round.start(workers=2, words=("--set", f"postgres.dsn={postgres_through(wire, site.database.dsn)}"))
        with round.flow(rate=500):
            round.let_flow(1)
            wire.swallow = round.count
            told = 0
            for _ in range(20 * round.count):
                if wire.swallowed > told:
                    round.struck(f"{wire.swallowed - told} replies to COMMIT swallowed", wire.swallowed - told)
                    told = wire.swallowed
                if told >= round.count:
                    break
                round.let_flow(0.2)
            assert told == round.count, f"only {told} replies were swallowed"
            round.recovered()
        return round.settle()
