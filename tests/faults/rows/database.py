"""Rows 27 and 36: a database that is slow, and one that has no connection left."""

import contextlib

import psycopg2
from psycopg2 import extensions

from faults.registry import row
from integration.harness.postgres_server import PostgresServer, with_postgres
from integration.harness.waiting import wait_until

# A statement trigger fires once a COPY. How long it sleeps stands in a table: to drop the trigger would wait for it.
SLOW = """
    CREATE TABLE public.slowness (seconds float);
    INSERT INTO public.slowness VALUES (0);
    CREATE FUNCTION public.be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_sleep(seconds) FROM public.slowness; RETURN NULL; END $$;
    CREATE TRIGGER be_slow BEFORE INSERT ON analytics_events FOR EACH STATEMENT EXECUTE FUNCTION public.be_slow()"""
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
OWNERS = "SELECT count(DISTINCT owner) FROM tallymill.owners"
EPOCHS = "SELECT topic_partition, epoch FROM tallymill.owners ORDER BY 1"


@row(27, "a database in which each COPY takes 10 s", want=20, faults=3, limit=30)
def slow_database(round):
    """A worker that did not poll for 7 s would be out of its group: then another claims, and the epochs go up."""
    site = round.make_site(partitions=4, **{"kafka.max.poll.interval.ms": 7000})
    site.database.run(SLOW)
    round.start(workers=2, aggregators=1)
    with round.flow(rate=300):
        wait_until(lambda: site.database.value(OWNERS) == 2, round.patience(), "both workers to have their share")
        epochs = site.database.rows(EPOCHS)
        for _ in range(round.count):
            site.database.run("UPDATE public.slowness SET seconds = 10")
            wait_until(lambda: len(site.database.rows(SLEEPING)) == 2, round.patience(), "both workers to wait for a slow COPY")
            round.struck("both workers wait for a slow COPY")
            round.let_flow(9, 14)
            site.database.run("UPDATE public.slowness SET seconds = 0")
            round.recovered()
        assert site.database.rows(EPOCHS) == epochs, "a worker lost its topic partitions, or its connection"


class Hogs:
    """Takes every connection that is to be had, and holds it."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.held = []

    def take_all(self):
        with contextlib.suppress(psycopg2.OperationalError):
            while True:  # ends: the server has a last connection
                self.held.append(psycopg2.connect(self.dsn, connect_timeout=10))

    def leave(self):
        for one in self.held:
            one.close()
        self.held.clear()


SERVICES = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tallymill_services'"


@row(36, "connection slots used up", want=40, faults=4, limit=15)
def no_connections(round):
    server = round.enter(PostgresServer(round.stack, max_connections=16, superuser_reserved_connections=3))
    site = round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4)
    site.log_in_as("tallymill_services")
    site.database.run("CREATE ROLE hog LOGIN")
    hogs = Hogs(extensions.make_dsn(server.dsn, user="hog"))
    round.start(workers=2, aggregators=1)
    with round.flow(rate=300):
        for _ in range(round.count):
            round.recovered()

            def all_are_out():
                ended = server.value(SERVICES)
                hogs.take_all()
                return ended == 0

            wait_until(all_are_out, round.patience(), "the services to be without a connection")
            round.struck(f"{len(hogs.held)} connections held, none left for the services")
            round.let_flow(0.5, 4)
            hogs.leave()
            round.struck("connections are there again", faults=0)
            round.recovered()
    refused = "\n".join(program.log() for program in round.crew.programs.values())
    assert "connection slots" in refused or "too many clients" in refused, refused[-3000:]
