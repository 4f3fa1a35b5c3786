"""Row 48: one topic partition gets nothing but bad events."""

import msgpack

from faults.registry import row
from integration.harness.publisher import event


def bad_message(source):
    """Bytes that are no event, in one of several ways."""
    good = msgpack.packb(event("login", session_id="s"))
    way = source.randrange(5)
    if way == 0:
        return b"\xc1" + source.randbytes(20)
    if way == 1:
        return good[:source.randrange(1, len(good))]
    if way == 2:
        return good + b"\x00"
    if way == 3:
        return msgpack.packb({"event_name": "login"})
    return msgpack.packb([1, 2, 3])


@row(48, "nothing but bad events on one topic partition for a minute", want=4, faults=1, limit=60)
def only_bad_events(round):
    round.start(workers=2, partitions=4)
    with round.flow(rate=300):
        round.struck("bad events begin")
        for _ in range(60):
            for _ in range(200):
                round.site.publisher.send_bytes(bad_message(round.random), b"k", partition=0)
            round.let_flow(1)
            round.recovered(since=round.now())
    assert round.site.outcomes()[2] > 0
