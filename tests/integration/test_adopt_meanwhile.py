"""`tallymill adopt` beside others who change the old table, its triggers, its indexes and its name while it is copied: nothing of that is lost in silence."""

import pytest

from .harness.adopting import DEADLINE, adopt
from .harness.waiting import wait_until

BOTH = "SELECT id, event_name, is_internal, created_at FROM {}"
OTHER = f"SELECT count(*) FROM (({BOTH.format('analytics_events')} EXCEPT {BOTH.format('analytics_events_before')}) UNION ALL ({BOTH.format('analytics_events_before')} EXCEPT {BOTH.format('analytics_events')})) AS d"
WRITTEN = """
    INSERT INTO analytics_events (event_name, event_category, created_at) SELECT 'login', 'usage', now() - n * interval '1 day' FROM generate_series(1, 20) n;
    UPDATE analytics_events SET is_internal = NOT is_internal WHERE user_id = 9;
    DELETE FROM analytics_events WHERE user_id = 8"""


def frozen(site, failpoint, name="frozen"):
    program = site.start("tallymill", "adopt", failpoint=f"{failpoint}:stop", name=name)
    wait_until(program.is_frozen, DEADLINE, lambda: f"{failpoint}:\n{program.log()}")
    return program


def is_old(site):
    return site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "r"


def test_what_writers_in_replica_mode_change_is_logged(old):
    """As AWS DMS, pglogical and restores write: ordinary triggers do not fire for them. Behind the comparison nothing but the log knows of their rows."""
    site, _ = old(500, build="check")
    program = frozen(site, "adopt_compare")
    site.database.run(f"SET session_replication_role = replica; {WRITTEN}")
    program.thaw()
    assert program.wait(DEADLINE) == 0, program.log()
    assert site.database.value("SELECT count(*) FROM analytics_events_before") == 520 - site.database.value("SELECT count(*) FROM generate_series(1, 500) n WHERE n %% 3 > 0 AND 1 + n %% 500 = 8")
    assert site.database.value(OTHER) == 0


@pytest.mark.parametrize("statement", ("DISABLE TRIGGER USER", "DISABLE TRIGGER tallymill_adopt_insert", "DISABLE TRIGGER ALL; ALTER TABLE analytics_events ENABLE TRIGGER ALL"))
def test_triggers_that_are_switched_off_keep_the_tables_from_being_swapped(old, statement):
    """Before the comparison and behind it; also when they were switched on again, as a restore does."""
    site, _ = old(500, build="check")
    off = f"ALTER TABLE analytics_events {statement}"
    program = frozen(site, "adopt_compare")
    site.database.run(f"{off}; {WRITTEN}")
    program.thaw()
    assert program.wait(DEADLINE) == 2, program.log()
    assert "tallymill_adopt_" in program.log() and "--abandon" in program.log() and is_old(site), program.log()
    refused = adopt(site, code=2)
    assert "switched" in refused.err and "--abandon" in refused.err and "comparing" in refused.err and is_old(site), refused
    adopt(site, "--abandon")
    assert site.database.value("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tallymill%%'") == 0
