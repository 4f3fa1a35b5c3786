"""A worker whose clock is wrong: it buries no live event for that, and says whose clock it is. (Jumps by an hour and nights with summer time: fault 37.)"""

from faults.rows.clock import Clock

from .harness.monitor import Monitor
from .harness.publisher import event
from .harness.waiting import wait_until

DAY = 86_400


def live(count):
    return [event() for _ in range(count)]


def test_a_clock_that_is_days_wrong_at_the_start_is_waited_out(make_site, days=3):
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0", "window.oldest": "2 days"})
    site.send(live(100))
    with Clock(offset=days * DAY) as clock:
        site.environment.update(clock.environment())
        worker = site.worker()
        monitor = Monitor(worker)
        wait_until(lambda: "farther from Postgres's than window.ahead" in worker.log(), 60, lambda: worker.log())
        assert 'suspect="this host"' in worker.log()
        assert monitor.wait_for_health(503)["reason"].startswith("the clock of this host is wrong")
        assert abs(monitor.samples()["tallymill_consumer_clock_offset_seconds"] - days * DAY) < 60
        site.send(live(100))
        assert worker.is_running() and site.outcomes() == (0, 0, 0, 0)
        clock.set(0)
        site.wait_until_drained()
        monitor.wait_for_health(200)
        assert worker.stop() == 0
    assert site.outcomes() == (200, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_clock_that_jumps_by_days_buries_nothing(make_site, days=-3):
    """Events go on arriving meanwhile: those that are met between the jump and its discovery are judged by the clock that was right."""
    site = make_site(partitions=1, **{"window.oldest": "2 days"})
    with Clock() as clock:
        site.environment.update(clock.environment())
        worker = site.worker()
        site.send(live(100))
        site.wait_until_drained()
        clock.set(days * DAY)
        sent = 100

        def send_and_look():
            nonlocal sent
            site.send(live(20))
            sent += 20
            return "farther from Postgres's than window.ahead" in worker.log()

        wait_until(send_and_look, 60, lambda: worker.log()[-2000:])
        assert 'suspect="this host"' in worker.log() and site.reasons() == {}
        clock.set(0)
        site.wait_until_drained()
        assert worker.stop() == 0
    assert site.outcomes() == (sent, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_clock_that_is_an_hour_wrong_is_said_and_stores_on(make_site):
    site = make_site(partitions=1, **{"metrics.listen": "127.0.0.1:0"})
    with Clock(offset=3600) as clock:
        site.environment.update(clock.environment())
        worker = site.worker()
        monitor = Monitor(worker)
        site.send(live(100))
        site.wait_until_drained()
        assert 'msg="clocks differ' in worker.log() and 'suspect="this host"' in worker.log()
        assert abs(monitor.samples()["tallymill_consumer_clock_offset_seconds"] - 3600) < 60
        monitor.wait_for_health(200)
        assert worker.stop() == 0
    assert site.outcomes() == (100, 0, 0, 0)


def test_a_clock_that_stays_wrong_for_ten_minutes_ends_the_worker(make_site, days=3):
    """The worker's own ten minutes pass at once: here the monotonic clock goes forward with the wall clock. (Five minutes alone end nothing.)"""
    site = make_site(partitions=1)
    site.send(live(100))
    with Clock(offset=days * DAY, fakes_monotonic=True) as clock:
        site.environment.update(clock.environment())
        worker = site.worker()
        wait_until(lambda: "farther from Postgres's than window.ahead" in worker.log(), 60, lambda: worker.log())
        clock.set(days * DAY + 300)
        wait_until(lambda: worker.log().count("farther from Postgres's than window.ahead") > 1, 60, lambda: worker.log())
        assert worker.is_running()
        clock.set(days * DAY + 901)
        assert worker.wait(60) == 3, worker.log()[-2000:]
    assert "for ten minutes, more than window.ahead: set it right" in worker.log().splitlines()[-1]
    assert site.outcomes() == (0, 0, 0, 0)
    site.environment.clear()
    site.drain()
    assert site.outcomes() == (100, 0, 0, 0)
