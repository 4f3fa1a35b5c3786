"""What goes wrong when: a schedule of faults drawn from a seed, so that a run that found something can be repeated.

Times are fractions of the run's work (events sent so far), not seconds: the same seed then hits a slow machine and
a fast one at the same places.  Kills come spread over the whole run, since twenty in a heap would test little more
than one.
"""

import random
from typing import NamedTuple

WORKER, AGGREGATOR, POSTGRES, BROKER = "kill worker", "kill aggregator", "restart postgres", "kill broker"


class Fault(NamedTuple):
    at: float      # 0..1 of the events sent
    what: str
    which: int     # which worker, where there are several

    def __str__(self):
        return f"{self.at:5.1%} {self.what}" + (f" {self.which + 1}" if self.what == WORKER else "")


def schedule(seed, kills, postgres_restarts, broker_kills, workers):
    """The faults in their order: `kills` of workers and aggregators, three to one, and the servers' in between."""
    source = random.Random(seed)
    faults = []
    for number in range(kills):
        at = (number + source.random()) / kills
        faults.append(Fault(at, AGGREGATOR if number % 4 == 3 else WORKER, source.randrange(workers)))
    servers = [POSTGRES] * postgres_restarts + [BROKER] * broker_kills
    source.shuffle(servers)
    for number, what in enumerate(servers):
        at = (number + 0.2 + 0.6 * source.random()) / max(1, len(servers))
        faults.append(Fault(at, what, 0))
    return sorted(faults)
