"""Rows 11 to 14 and 24: the network between the workers and both servers is cut, reset, slow, open one way only, or ends without a FIN."""

import contextlib

from psycopg2 import extensions

from faults.namespace import Namespace, is_possible
from faults.registry import row
from faults.wire import INWARD, OUTWARD, Wire, postgres_through
from integration.harness.database import Database
from integration.harness.program import Program, environment
from integration.harness.waiting import wait_until

ONE_MBIT = 125_000


@contextlib.contextmanager
def wired(round, workers=2, **how):
    """A site whose workers reach Kafka and Postgres through a Wire each: (crew, the wire to Kafka, the wire to Postgres)."""
    site = round.make_site(partitions=6, **how)
    where = extensions.parse_dsn(site.database.dsn)
    kafka_host, kafka_port = round.stack.kafka["bootstrap.servers"].split(":")
    seeds = round.random.getrandbits(32), round.random.getrandbits(32)
    with Wire(kafka_host, kafka_port, kafka=round.stack, seed=seeds[0]) as kafka, Wire(where["host"], where["port"], seed=seeds[1]) as postgres:
        crew = round.start(workers, words=("--set", f"kafka.bootstrap.servers=127.0.0.1:{kafka.port}",
                                           "--set", f"postgres.dsn={postgres_through(postgres, site.database.dsn)}"))
        yield crew, kafka, postgres


@row("11-14/cut", "workers cut off from Kafka and Postgres for a minute", want=6, faults=1, limit=60, daily=1)
def cut_off(round):
    with wired(round) as (_, kafka, postgres):
        with round.flow(rate=500):
            for _ in range(round.count):
                round.let_flow(2, 4)
                kafka.cut()
                postgres.cut()
                round.struck("both connections are silent")
                round.let_flow(10 if round.is_daily else 60)
                kafka.mend()
                postgres.mend()
                round.recovered(since=round.now())
        return round.settle()


@row("11-14/resets", "connections reset five times a second", want=100, faults=50, limit=60, daily=15)
def resets(round):
    with wired(round) as (_, kafka, postgres):
        with round.flow(rate=500):
            round.let_flow(2)
            for _ in range(10 * round.count):
                if round.injected >= round.count:
                    break
                wire, name = round.random.choice(((kafka, "Kafka"), (postgres, "Postgres")))
                if cut := wire.reset():
                    round.struck(f"{cut} connections to {name} reset", cut)
                round.let_flow(0.2)
            round.recovered()
        return round.settle()


@row("11-14/slow", "delay, stalls as after lost packets, and 1 Mbit/s", want=6, faults=3, limit=60)
def slow(round):
    with wired(round) as (_, kafka, postgres):
        with round.flow(rate=100):
            for fault in ("delay_seconds", "stalls", "bytes_a_second")[:round.count]:
                value = {"delay_seconds": round.random.uniform(0.02, 0.2), "stalls": 0.05, "bytes_a_second": ONE_MBIT}[fault]
                setattr(kafka, fault, value)
                setattr(postgres, fault, value)
                round.struck(f"{fault} {value:.3g} on both connections")
                round.let_flow(15)
                kafka.mend()
                postgres.mend()
                round.recovered(since=round.now())
        return round.settle()


@row("11-14/one-way", "one way only, to one server, for half a minute", want=8, faults=4, limit=60)
def one_way(round):
    with wired(round) as (_, kafka, postgres):
        with round.flow(rate=500):
            ways = [(wire, name, way) for wire, name in ((kafka, "Kafka"), (postgres, "Postgres")) for way in (OUTWARD, INWARD)]
            for wire, name, way in ways[:round.count]:
                round.let_flow(2, 4)
                wire.cut(way)
                round.struck(f"nothing passes {way} ({name})")
                round.let_flow(30)
                wire.mend()
                round.recovered(since=round.now())
        return round.settle()


@row(24, "database unreachable in mid-transaction, no FIN: the lock is free within a minute", want=4, faults=1, limit=60, own_stack=True,
     needs=(("ip", "iproute2"),))
def no_fin(round):
    if not is_possible():
        return round.skip("network namespaces need root")
    with Namespace() as place:
        _listen_too(round.stack, place.address)
        site = round.make_site(partitions=3, build="check")
        place.carry(int(round.stack.bootstrap.split(":")[1]))
        round.start(workers=0)
        with round.flow(rate=0) as flow:
            flow.burst(20_000)
            round.let_flow(1)
        site.publisher.flush()
        dsn = extensions.make_dsn(site.database.dsn, host=place.address)
        lost = Program(place.command(site.command("tallymill-consumer", "--set", "consumer.instance=lost", "--set", f"postgres.dsn={dsn}")),
                       site.folder / "lost.log", environment(failpoint="mid_copy:stop:2000"))
        site.programs.append(lost)
        wait_until(lost.is_frozen, 60, "the worker to be in the middle of COPY")
        place.pull()
        lost.thaw()
        round.struck("the cable is pulled in the middle of COPY")
        wait_until(lambda: _sessions(site) == 0, 4 * round.row.limit, "the lost worker's session to end")
        round.recoveries.append(round.now() - round.struck_at())
        round.crew.start("worker", 1)
        place.plug()
        with round.flow(rate=300):
            round.let_flow(3)
        site.publisher.flush()
        round.site.wait_until_drained(90)
        assert lost.stop() == 0, lost.log()[-3000:]
        return round.settle()


def _sessions(site):
    return site.database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tallymill-consumer'")


def _listen_too(stack, address):
    """Postgres, which listens on the loopback interface, on one more address."""
    server = Database(stack.dsn)
    server.run(f"ALTER SYSTEM SET listen_addresses = '127.0.0.1,{address}'")
    with open(server.value("SHOW hba_file"), "a", encoding="ascii") as rules:
        rules.write(f"host all all {address}/24 trust\n")
    stack.restart_postgres("fast")
