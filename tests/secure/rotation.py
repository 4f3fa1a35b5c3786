"""What the tests of rotation share: events that keep coming, a signal, what a worker says since, who is in the group."""

import contextlib
import signal
import threading
from pathlib import Path

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


@contextlib.contextmanager
def postgres_files(site):
    """A function that has Postgres read files anew: write({name: text}). A session of before does it, for whoever checks the certificate may not come in
    meanwhile. At the end they are as they were."""
    with site.database.session() as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SHOW data_directory")
        folder, own = Path(cursor.fetchone()[0]), {}

        def write(texts):
            for name, text in texts.items():
                own.setdefault(name, (folder / name).read_text())
                (folder / name).write_text(text)
            cursor.execute("SELECT pg_reload_conf()")

        try:
            yield write
        finally:
            write(dict(own))


def must_connect(*programs, since=None):
    """Returns once each has connected to Postgres, since its log had so many characters."""
    for program, start in zip(programs, since or [0] * len(programs)):
        wait_until(lambda one=program, at=start: "connected to Postgres" in one.log()[at:], 60, lambda one=program, at=start: f"it to connect:\n{one.log()[at:]}")


def reconnect(site, *programs):
    """Ends every connection of these programs, and returns once each has come in again."""
    before = [len(program.log()) for program in programs]
    site.database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                      " AND application_name LIKE 'tallymill%'")
    must_connect(*programs, since=before)


def must_have_stored_all(site, worker, *secrets):
    site.wait_until_drained(deadline=120)
    assert worker.is_running() and worker.stop() == 0, worker.log()[-3000:]
    assert not any(secret in worker.log() for secret in secrets)
    site.assert_holds()
