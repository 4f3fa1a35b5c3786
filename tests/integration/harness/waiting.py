"""Waiting for something to become true, with a deadline: the only way in which a test passes time."""

import contextlib
import threading
import time

LEAST_SECONDS = 60  # what a machine full of other tests may take; who gets what it waits for waits no longer for it

_here = threading.local()


def kept(key, make):
    """Within a wait of this thread what `make` gave at an earlier look of it, by its key; None outside of one. It is closed when the wait ends."""
    made = getattr(_here, "made", None)
    if made is None:
        return None
    if key not in made:
        made[key] = make()
    return made[key]


def forget(key):
    """Closes what is kept by that key: it is made anew at the next look."""
    with contextlib.suppress(KeyError):
        _here.made.pop(key).close()


@contextlib.contextmanager
def _keeping():
    if getattr(_here, "made", None) is not None:  # a wait within a wait
        yield
        return
    _here.made = {}
    try:
        yield
    finally:
        for key in list(_here.made):
            forget(key)
        _here.made = None


@_keeping()
def wait_until(predicate, deadline, what, despite=(), is_promise=False):
    """Calls `predicate` until it gives something true, and returns that; after `deadline` seconds fails, naming `what` (text, or a function that gives it)
    and what the predicate gave last.  Exceptions in `despite` count as not yet true.  A deadline that is no promise of the product lasts LEAST_SECONDS at least."""
    deadline = deadline if is_promise else max(deadline, LEAST_SECONDS)
    end = time.monotonic() + deadline
    pause = 0.01
    while True:
        try:
            last = predicate()
            if last:
                return last
        except despite as why:
            last = repr(why)
        if time.monotonic() >= end:
            raise AssertionError(f"waited {deadline} s for {what() if callable(what) else what}; last: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
