"""What the tests of rotation share: events that keep coming, a signal, what a worker says since, who is in the group."""

import contextlib
import signal
import threading

from integration.harness.publisher import events
from integration.harness.waiting import wait_until

PATIENT = {"kafka.session.timeout.ms": 300_000}  # so long that a member left behind would be seen


@contextlib.contextmanager
def under_load(site):
    """Events all the while, a few hundred each second; at the end all of them are acknowledged."""
    over, failed = threading.Event(), []

    def send():
        try:
            for seed in range(1000, 1_000_000):
                if over.wait(0.05):
                    return
                for one in events(20, seed=seed):
                    site.publisher.send(one)
        except Exception as error:  # told where the test can see it
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join(60)
        site.publisher.flush()
    assert not failed and not sender.is_alive(), failed


def hang_up(program, says, deadline=60):
    """SIGHUP, and what it logged since then once that has `says` in it."""
    before = len(program.log())
    program.signal(signal.SIGHUP)
    return wait_until(lambda: program.log()[before:] if says in program.log()[before:] else None, deadline,
                      lambda: f"{says}; the log:\n{program.log()[before:]}")


def members(site):
    """How many members the site's consumer group has."""
    group = site.topic.replace("events-", "group-")
    return sum(len(one.members) for one in site.stack.admin.list_groups(group, timeout=30))


def restart_broker(site):
    """No connection of before is left; whoever comes again must log in."""
    site.stack.must("stop-broker", "1")
    site.stack.must("start-broker", "1")


def must_have_stored_all(site, worker, *secrets):
    site.wait_until_drained(deadline=120)
    assert worker.is_running() and worker.stop() == 0, worker.log()[-3000:]
    assert not any(secret in worker.log() for secret in secrets)
    site.assert_holds()
