"""Triggers of somebody else that change which event a row is (id, created_at) or whose it is (batch_id): the row would be stored twice when the event comes again, or be in
nobody's books. Such a row is a dead letter, its neighbours are stored. What says something else about the event (user, is_internal, event_data) may be changed.
"""

import pytest

from .harness.publisher import event, events
from .harness.waiting import wait_until
from .test_kept_out import take_away

CHANGES = {
    "id": "NEW.id := md5(NEW.id::text)::uuid;",
    "created_at": "NEW.created_at := NEW.created_at + interval '1 microsecond';",
    "another month": "NEW.created_at := NEW.created_at - interval '40 days';",
    "batch_id gone": "NEW.batch_id := NULL;",
}
BEHIND = {
    "a row that is changed behind the insert": "UPDATE analytics_events SET batch_id = NULL WHERE id = NEW.id AND created_at = NEW.created_at; RETURN NULL;",
    "a row that is gone behind the insert": "DELETE FROM analytics_events WHERE id = NEW.id AND created_at = NEW.created_at; RETURN NULL;",
}


def plant_on_events(site, when, does, name="theirs"):
    """A row trigger that acts on marked events alone."""
    site.database.run(f"""
        CREATE OR REPLACE FUNCTION public.{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does} END $$;
        CREATE TRIGGER {name} {when} INSERT ON analytics_events FOR EACH ROW WHEN (NEW.session_id LIKE 'marked%')
        EXECUTE FUNCTION public.{name}()""")


def judge(site):
    """By COPY, and by INSERT, which the stored event sent again leads to."""
    first = event(session_id="first")
    site.send([first, *events(120, seed=3), event(session_id="marked 1"), event(session_id="marked 2")])
    site.drain()
    assert site.reasons() == {"refused": 2}, site.outcomes()
    site.send([first, *events(60, seed=4), event(session_id="marked 3")])
    site.drain()
    assert (site.reasons(), site.outcomes()[:3]) == ({"refused": 3}, (181, 1, 3)), site.outcomes()
    site.fold()
    for command in (("audit", "--deep"), ("verify",)):
        done = site.tallymill(*command)
        assert done.code == 0, done
    site.assert_holds()


@pytest.mark.parametrize("change", CHANGES)
def test_an_event_whose_row_a_trigger_makes_another_is_a_dead_letter(make_site, change):
    site = make_site(partitions=1)
    plant_on_events(site, "BEFORE", f"{CHANGES[change]} RETURN NEW;")
    judge(site)


@pytest.mark.parametrize("change", BEHIND)
def test_an_event_whose_row_a_trigger_takes_away_behind_is_a_dead_letter(make_site, change):
    site = make_site(partitions=1)
    plant_on_events(site, "AFTER", BEHIND[change])
    judge(site)


def test_a_trigger_that_changes_every_row_stops_the_worker_by_name(make_site):
    site = make_site(partitions=1)
    site.database.run("""CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := gen_random_uuid(); RETURN NEW; END $$;
                         CREATE TRIGGER theirs BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION public.theirs()""")
    site.send(events(400))
    worker = site.worker()
    assert worker.wait(60) == 3 and "trigger" in worker.log(), worker.log()
    assert site.database.value("SELECT count(*) FROM analytics_events") == 0 and site.reasons() == {}
    take_away(site, "analytics_events")
    site.drain()
    site.fold()
    site.assert_holds()


def test_what_says_something_else_about_the_event_may_be_changed(make_site):
    site = make_site(partitions=1)
    plant_on_events(site, "BEFORE", "NEW.user_id := 7; NEW.event_data := '{}'; NEW.is_internal := true; NEW.event_category := 'other'; RETURN NEW;")
    site.send([*events(100), *(event(session_id=f"marked {number}") for number in range(80))])
    site.drain()
    assert site.outcomes() == (180, 0, 0, 0)
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE is_internal AND user_id = 7") == 80
    site.fold()
    assert site.tallymill("audit", "--deep").code == 0 and site.tallymill("verify").code == 0
