"""Events that flow in the background while faults strike, at an even rate, with every acknowledgement on record.

The publisher is another client than ours (integration/harness/publisher.py). It never gives up an event: what a broker's death
delays is sent again, and the record grows as Kafka confirms.
"""

import threading
import time

from integration.harness.publisher import events

SLICE_SECONDS = 0.02
MOST_EVENTS = 50_000_000  # of one flow: a seed's events are drawn one by one, so this costs nothing


class Flow:
    """A context: events flow from its entry to its exit, those of `made` (which gives them without end) or an application's of some days."""

    def __init__(self, publisher, seed, rate, days=3, made=None):
        self.publisher = publisher
        self.rate = rate
        self.sent = 0
        self._events = made or events(MOST_EVENTS, seed, days)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._owed = 0  # of bursts
        self._failure = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the flow of events does not end"
        if self._failure:
            raise self._failure

    def burst(self, count):
        """So many events at once, beside the even flow."""
        with self._lock:
            self._owed += count

    def _run(self):
        try:
            started, evenly = time.monotonic(), 0
            while not self._stop.wait(SLICE_SECONDS):
                due = int((time.monotonic() - started) * self.rate)
                with self._lock:
                    owed, self._owed = self._owed, 0
                now, evenly = owed + due - evenly, due
                for number in range(now):
                    if number >= owed and self._stop.is_set():
                        break  # a busy machine is behind the rate: what is due need not come once it shall end, only bursts must
                    self.publisher.send(next(self._events))
                    self.sent += 1
                self.publisher.producer.poll(0)
        except Exception as why:  # noqa: BLE001  (told where the flow ends)
            self._failure = why
