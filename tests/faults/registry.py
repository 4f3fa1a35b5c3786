"""The rows of the fault matrix: what each injects, how often, and within which time the pipeline must be back.

A row is one function in a module below rows/, registered by the decorator `row`. It is given a Round, injects as many faults as the
round is asked for, and says of each that it struck; what every row has in common (events that flow, the end, the verdict) is the
Round's. A row that ends differently (a topic partition that stops loudly, say) gives a Verdict of its own back.

    @row(1, "a worker killed at any moment", want=100, faults=10, limit=5)
    def worker_killed(round):
        crew = round.start(workers=2)
        with round.flow():
            for _ in range(round.count):
                round.let_flow(0.1, 1.0)
                crew.kill("worker", round.random.randrange(2))
                round.struck("worker killed")
                round.recovered()
"""

import importlib
import pkgutil
from typing import Callable, NamedTuple

import faults.rows


class Row(NamedTuple):
    key: str           # "1", or "11-14/cut" where a line of the matrix has several ways
    title: str
    function: Callable
    want: int          # faults of this row among the first thousand or so; the driver keeps rows in this proportion
    faults: int        # faults that one round injects
    limit: float       # seconds from a fault until all that Kafka had acknowledged then is stored
    daily: int         # faults of the round in tests/run; 0: only in the long run
    brokers: int       # 1 or 3
    own_stack: bool    # servers of its own, thrown away afterwards: for rows that damage them
    plain_servers: str # why its daily round cannot be on servers with TLS and passwords; "": it can
    needs: tuple       # commands that must be there: ("nft", "nftables") names the command and its package


ROWS = {}


def row(key, title, *, want, faults, limit, daily=0, brokers=1, own_stack=False, plain_servers="", needs=()):
    """Registers a function as a row of the matrix."""
    def register(function):
        key_text = str(key)
        assert key_text not in ROWS, f"row {key_text} is registered twice"
        ROWS[key_text] = Row(key_text, title, function, want, faults, limit, daily, brokers, own_stack, plain_servers, tuple(needs))
        return function
    return register


def all_rows():
    """Every row by its key, in the order of the matrix."""
    for module in pkgutil.iter_modules(faults.rows.__path__):
        importlib.import_module(f"faults.rows.{module.name}")
    return dict(sorted(ROWS.items(), key=lambda item: _order(item[0])))


def chosen_rows(text):
    """The rows that "1,2,11-14" names; a number takes every way of it (11-14/cut, 11-14/loss). All without a text."""
    rows = all_rows()
    if not text:
        return rows
    chosen = {}
    for word in text.split(","):
        found = {key: one for key, one in rows.items() if word in (key, key.split("/")[0])}
        if not found:
            raise SystemExit(f"there is no row {word!r}; there are: {', '.join(rows)}")
        chosen.update(found)
    return chosen


def _order(key):
    number, _, way = key.partition("/")
    return int(number.split("-")[0]), way
