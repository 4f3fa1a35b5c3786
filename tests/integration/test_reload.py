"""SIGHUP: what can be changed in a running service is, what cannot is named, and a wrong file changes nothing."""

import signal

from .harness.program import ROOT
from .harness.publisher import event, instant
from .harness.waiting import wait_until

OLD = instant("2001-02-03T04:05:06")


def reload(site, program, added, says):
    """Adds lines to the settings, sends SIGHUP, and returns the log once it says something since then."""
    before = len(program.log())
    site.settings.write_text(site.settings.read_text() + added)
    program.signal(signal.SIGHUP)
    return wait_until(lambda: program.log()[before:] if says in program.log()[before:] else None, 30,
                      lambda: f"{says}; the log:\n{program.log()[before:]}")


def test_a_worker_takes_new_rules_between_two_batches_and_keeps_the_old_ones_when_the_file_is_wrong(site):
    worker = site.worker()
    site.send([event(created_us=OLD)])
    wait_until(lambda: site.outcomes() == (0, 0, 1, 0), 30, "the event before the window to be a dead letter")
    log = reload(site, worker, "[window]\noldest = 2000-01-01\n[batch]\nmax_rows = 7\n[memory]\nmax = 128 MiB\n", "settings read again")
    assert 'setting changed" key=window.oldest value="2000-01-01"' in log
    assert "at the next start only\" key=memory.max" in log
    site.send(event(created_us=OLD + number) for number in range(100))
    wait_until(lambda: site.outcomes() == (100, 0, 1, 0), 30, "the window to be as old as was set")
    assert site.database.value("SELECT max(rows) FROM (SELECT sum(stored) AS rows FROM tallymill.batches GROUP BY batch_id) b") <= 7
    log = reload(site, worker, "[catalogue]\nunknown = reject\nfile = /nowhere/catalogue.json\n", "those before stay in force")
    assert "/nowhere/catalogue.json" in log and "setting changed" not in log
    site.send([event("not_in_the_catalogue", created_us=OLD + 200)])
    wait_until(lambda: site.outcomes() == (101, 0, 1, 0), 30, "an unknown event to be stored, as before")
    assert worker.stop() == 0


def test_an_aggregator_takes_its_pace_and_names_what_waits_for_a_restart(site):
    aggregator = site.aggregator()
    wait_until(lambda: "connected to Postgres" in aggregator.log(), 30, "the aggregator to be there")
    log = reload(site, aggregator, "[log]\nlevel = debug\n[aggregator]\ninterval = 1 min\n[memory]\nmax = 128 MiB\n", "settings read again")
    assert "key=aggregator.interval" in log and "key=log.level" in log and "at the next start only\" key=memory.max" in log
    reload(site, aggregator, "[aggregator]\ninterval = 50 ms\n", "those before stay in force")  # set twice
    assert aggregator.stop() == 0


def test_an_aggregator_makes_the_months_ahead_that_are_asked_for_meanwhile(site):
    aggregator = site.aggregator()
    months = "SELECT count(*) FROM tallymill.months WHERE month > now()"
    wait_until(lambda: "connected to Postgres" in aggregator.log() and site.database.value(months) == 3, 30, "the aggregator to be there")
    log = reload(site, aggregator, "[aggregator]\nmonths_ahead = 9\n", "settings read again")
    assert "key=aggregator.months_ahead" in log
    wait_until(lambda: site.database.value(months) == 9, 30, "the months to be made")
    assert aggregator.stop() == 0


def hang_up(program, says):
    before = len(program.log())
    program.signal(signal.SIGHUP)
    return wait_until(lambda: program.log()[before:] if says in program.log()[before:] else None, 30,
                      lambda: f"{says}; the log:\n{program.log()[before:]}")


def test_a_reload_that_finds_nothing_new_says_so_and_that_copies_of_secrets_need_a_restart(site, tmp_path):
    credential, catalogue = tmp_path / "dsn", tmp_path / "catalogue.json"
    credential.write_text(f"{site.database.dsn}\n")
    credential.chmod(0o600)
    catalogue.write_text((ROOT / "schemas" / "catalogue.json").read_text())
    words = ("--set", f"postgres.dsn=@{credential}")
    for number, credentials in enumerate((None, str(tmp_path))):
        site.environment = {"CREDENTIALS_DIRECTORY": credentials} if credentials else {}
        worker, aggregator = site.worker(*words, "--set", f"catalogue.file={catalogue}"), site.aggregator(*words)
        for program in (worker, aggregator):
            wait_until(lambda one=program: "connected to Postgres" in one.log(), 30, program.log)
            log = hang_up(program, "settings read again")
            assert "nothing has changed" in log and ("LoadCredential=" in log and "systemctl restart" in log) == bool(credentials), log
        credential.write_text(f"{site.database.dsn} connect_timeout={7 + number}\n")
        for program in (worker, aggregator):
            log = hang_up(program, "settings read again")
            assert "nothing has changed" not in log and "has logged in" in log, log
        catalogue.write_text(catalogue.read_text().replace('"purpose": "', '"purpose": "Anew: ', 1))
        assert "nothing has changed" not in hang_up(worker, "settings read again")
        assert "nothing has changed" in hang_up(worker, "settings read again")
        assert worker.stop() == 0 and aggregator.stop() == 0
    site.environment = {}
