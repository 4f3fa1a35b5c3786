"""Row 25: the primary is lost, and what takes over had not received its last commits.

Rows and ledger of those commits are gone together, so the ledger of the new primary stands where its rows stand: workers claim
again, read from there, and what was lost is stored again from Kafka. The statistics of the new primary are those of its rows, too.
The old primary is fenced as an operator does it: it is stopped before the standby is promoted, and never started again.
"""

import psycopg2

from faults.registry import row
from integration.harness.postgres_server import PostgresServer, hosts, with_postgres
from integration.harness.waiting import wait_until


def positions(server, site):
    """The sum of the next offsets on one server of the pair."""
    name = psycopg2.extensions.parse_dsn(site.database.dsn)["dbname"]
    return int(server.database(name).value("SELECT coalesce(sum(next_offset), 0) FROM tallymill.positions WHERE topic = %s", site.topic))


class Pair:
    """A primary and its standby at two fixed ports; after a failover the lost one's place is taken by a new standby."""

    def __init__(self, stack):
        self.primary = PostgresServer(stack)

    def __enter__(self):
        self.primary.__enter__()
        self.standby = self.primary.make_standby()
        return self

    def __exit__(self, *why):
        for server in (self.primary, self.standby):
            server.__exit__(*why)

    def dsn(self):
        return hosts(self.primary, self.standby)

    def fail_over(self, how):
        """The primary dies, the standby takes its place and is given a standby of its own."""
        self.primary.stop(how)
        self.standby.promote()
        lost, self.primary = self.primary, self.standby
        self.standby = lost  # for __exit__, should the next line fail
        port = lost.port
        lost.__exit__()
        self.standby = self.primary.make_standby(port)


@row(25, "failover to a replica that lags", want=30, faults=3, limit=60, daily=1)
def failover(round):
    pair = round.enter(Pair(round.stack))
    round.make_site(stack=with_postgres(round.stack, pair.dsn()), partitions=4)
    round.start(workers=2, aggregators=2)
    with round.flow(rate=400):
        for _ in range(round.count):
            round.recovered()
            pair.standby.stop_following()
            left_at = positions(pair.standby, round.site)
            wait_until(lambda: positions(pair.primary, round.site) > left_at + 400, 60, "the primary to be ahead of its standby")
            behind = positions(pair.primary, round.site) - positions(pair.standby, round.site)
            pair.fail_over(round.random.choice(("immediate", "kill", "fast")))
            round.struck(f"failed over to a standby that was at least {behind} offsets behind")
            round.recovered()
