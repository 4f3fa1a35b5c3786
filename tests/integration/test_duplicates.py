"""The same event again: in one batch, in a later one, through another worker, with another body or another time."""

import msgpack

from .harness.publisher import event, events, instant
from .harness.waiting import wait_until


def test_repeats_within_a_batch_and_across_batches_become_one_row_each(site):
    made = list(events(1_000))
    site.send(made + made[:300])
    site.drain()
    assert site.outcomes() == (1_000, 300, 0, 0)
    site.send(made[500:])
    site.drain()
    assert site.outcomes() == (1_000, 800, 0, 0)
    site.fold()
    site.assert_holds()


def test_the_first_body_stays_whatever_the_second_says(make_site):
    site = make_site(partitions=1)
    first = event(session_id="first", event_data={"n": 1})
    second = {**first, "session_id": "second", "event_data": {"n": 2}}
    site.send([first, second])
    site.drain()
    site.send([{**first, "session_id": "third"}])
    site.drain()
    assert site.database.rows("SELECT session_id, event_data FROM analytics_events") == [("first", {"n": 1})]
    assert site.outcomes() == (1, 2, 0, 0)
    site.fold()
    site.assert_holds()


def test_the_same_id_with_another_time_is_another_row(site):
    made = event()
    site.send([made, {**made, "created_at": made["created_at"] - 1}])
    site.drain()
    assert site.outcomes() == (2, 0, 0, 0)
    site.fold()
    site.assert_holds()


def test_repeats_that_cross_workers_become_one_row_each(make_site):
    site = make_site(partitions=2)
    workers = [site.worker(), site.worker()]
    made = list(events(4_000))
    for one in made:
        site.publisher.send(one, partition=0)
        site.publisher.send(one, partition=1)
    site.publisher.flush()
    site.wait_until_drained()
    assert [worker.stop() for worker in workers] == [0, 0]
    assert site.outcomes() == (4_000, 4_000, 0, 0)
    site.fold()
    site.assert_holds()


def test_a_repeat_of_an_event_that_another_program_inserted_is_a_duplicate(site):
    made = event(session_id="theirs")
    site.tallymill("migrate")
    site.fold()  # makes this month
    site.database.rows("INSERT INTO analytics_events (id, event_name, created_at) VALUES (%s::uuid, 'login',"
                       " to_timestamp(0) + %s * interval '1 us')", made["id"].hex(), made["created_at"])
    site.send([made])
    site.drain()
    assert site.outcomes() == (0, 1, 0, 0)
    assert site.database.value("SELECT event_name FROM analytics_events") == "login"


def test_duplicates_among_dead_letters_are_each_kept(site):
    poison = msgpack.packb(event())[:-1]
    for _ in range(5):
        site.publisher.send_bytes(poison, b"k")
    site.publisher.flush()
    site.drain()
    assert site.outcomes() == (0, 0, 5, 0)
    site.fold()
    site.assert_holds()


def test_a_repeat_is_not_counted_when_the_row_it_repeats_leaves_the_batch(make_site):
    """Both copies in one batch, in two topic partitions; the one that would become the row is given up while the batch is frozen."""
    site = make_site(partitions=2, build="check", **{"kafka.session.timeout.ms": 60000, "batch.min_age": "500 ms"})
    one = event()
    site.publisher.send(one, partition=0)
    site.publisher.flush()
    site.publisher.send(one, partition=1)
    site.publisher.flush()
    worker = site.worker(failpoint="copy_done:stop")
    wait_until(worker.is_frozen, 60, "the worker to stop itself before its commit")
    site.must("tallymill", "reset", "--at", "0:end", "--yes")
    worker.thaw()
    site.wait_until_drained()
    assert worker.stop() == 0
    assert site.database.value("SELECT count(*) FROM analytics_events") == 1, "the copy in topic partition 1 is the row now"
    assert site.tallymill("audit").code == 0


def test_a_clamped_event_is_known_by_its_id_alone(make_site):
    """The same bytes again have another time of Kafka's, and so another key: in one batch, in a later one, by INSERT, and through another worker at once."""
    site = make_site(partitions=2, **{"window.policy": "clamp"})
    old = [event(created_us=instant("2019-05-01") + number, session_id=f"s{number}") for number in range(40)]
    later = [event(session_id="now") for _ in range(20)]
    site.send(old[:20])
    site.send(old[:10] + later + old[:10])
    site.drain()
    assert site.outcomes() == (40, 20, 0, 0)
    site.send(old)
    site.drain()
    assert site.outcomes() == (60, 40, 0, 0)
    site.send(later + old)  # the first ones make it an INSERT
    site.drain()
    assert site.outcomes() == (60, 100, 0, 0)
    both = [event(created_us=instant("2019-06-01") + number) for number in range(300)]
    workers = [site.worker(), site.worker()]
    for one in both:
        site.publisher.send(one, partition=0)
        site.publisher.send(one, partition=1)
    site.publisher.flush()
    site.wait_until_drained()
    assert [worker.stop() for worker in workers] == [0, 0]
    assert site.outcomes() == (360, 400, 0, 0)
    assert site.database.value("SELECT count(DISTINCT id) FROM analytics_events") == 360
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE event_data ? '_created_at'") == 340
    site.fold()
    assert site.tallymill("audit").code == 0 and site.tallymill("verify").code == 0


def test_an_event_that_was_stored_at_its_own_time_is_known_when_that_is_outside_of_the_window(make_site):
    """The window's oldest month is there as a whole, and so is what it held before the window moved on."""
    site = make_site(partitions=1, **{"window.policy": "clamp", "window.oldest": "2021-03-01"})
    made = [event(created_us=instant("2021-03-05") + number) for number in range(20)]
    site.send(made)
    site.drain()
    site.settings.write_text(site.settings.read_text().replace("2021-03-01", "2021-03-20"))
    site.send(made)
    site.drain()
    assert site.outcomes() == (20, 20, 0, 0)
