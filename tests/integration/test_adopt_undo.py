"""`tallymill adopt --undo`: the old table has all that came since, or the way back is refused before anything is changed."""

from .harness.adopting import DEADLINE, LEFT, adopt, rows_of, schema_of, views_of
from .harness.old_table import Writer
from .harness.waiting import wait_until
from .test_adopt_standing import MATERIALIZED

MAPPED = "(SELECT id, event_name, event_category, session_id, user_id, ip_address, event_data, is_internal, created_at FROM {})"


def test_undone_the_old_table_has_all_that_came_since(old):
    site, application = old(5_000, build="check")
    with application.connect() as cursor:
        cursor.execute(MATERIALIZED)
    schema = schema_of(site)
    with Writer(application, seed=4) as writer:
        adopt(site)
        assert site.tallymill("migrate", "--no-topic").code == 0
        written = len(writer.known)
        wait_until(lambda: len(writer.known) > written + 100 or writer.failed, 60, "the writer to go on")
        killed = site.start("tallymill", "adopt", "--undo", failpoint="adopt_undo:exit")
        assert killed.wait(DEADLINE) == 86, killed.log()
        adopt(site, "--undo")
        written = len(writer.known)
        wait_until(lambda: len(writer.known) > written + 20 or writer.failed, 60, "the writer to go on")
    writer.assert_kept()
    assert schema_of(site) == schema
    assert site.database.value(LEFT) == 0
    assert site.database.value("SELECT count(*) FROM analytics_events e LEFT JOIN users u ON u.id = e.user_id WHERE e.user_id IS NOT NULL AND u.id IS NULL") == 0


def test_the_way_back_loses_no_month_that_left(old, tmp_path):
    """Archived, leaving or detached: its rows are nowhere in the new table, and were not deleted. What was erased stays gone."""
    (tmp_path / "archive").mkdir()
    site, _ = old(2_000, build="check", **{"archive.target": tmp_path / "archive"})
    rows, theirs = rows_of(site, "analytics_events"), site.database.rows(f"SELECT * FROM {MAPPED.format('analytics_events')} e WHERE user_id IS DISTINCT FROM 7 ORDER BY id")
    adopt(site)
    assert site.tallymill("migrate").code == 0
    site.fold()
    month, other, gone = site.database.rows("SELECT to_char(now() - interval '4 months', 'YYYY-MM'), to_char(now() - interval '5 months', 'YYYY_MM'), to_char(now() - interval '6 months', 'YYYY-MM')")[0]

    def assert_refused(named):
        refused = adopt(site, "--undo", code=2)
        assert f"detached): {named}" in refused.err and "tallymill restore MONTH" in refused.err and "still the one in use" in refused.err, refused
        assert rows_of(site, "analytics_events_before") == rows

    site.must("tallymill", "archive", month)
    assert_refused(month)
    site.must("tallymill", "restore", month)
    stopped = site.start("tallymill", "archive", month, failpoint="archive_detached:exit")
    assert stopped.wait(DEADLINE) == 86, stopped.log()
    assert_refused(month)
    site.must("tallymill", "archive", "--cancel", month)
    bounds = site.database.value("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s", f"analytics_events_{other}")
    site.database.run(f"ALTER TABLE analytics_events DETACH PARTITION analytics_events_{other}")
    assert_refused(other.replace("_", "-"))
    site.database.run(f"ALTER TABLE analytics_events ATTACH PARTITION analytics_events_{other} {bounds}")
    site.must("tallymill", "archive", gone, "--set", "archive.target=none", "--drop", "--yes")
    assert_refused(gone)
    site.database.rows("DELETE FROM analytics_events_before WHERE to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM') = %s", gone)
    site.database.run("INSERT INTO tallymill.erasures (erasure, asked_by, users, sessions) VALUES (99, 'somebody', '{1}', '{}')")
    refused = adopt(site, "--undo", code=2)
    assert "an erasure has begun and not ended" in refused.err and "tallymill erase" in refused.err, refused
    site.database.run("DELETE FROM tallymill.erasures")
    aggregator = site.aggregator()
    site.must("tallymill", "erase", "--user", 7, "--yes")
    assert aggregator.stop() == 0
    undone = adopt(site, "--undo")
    assert "1 erasures" in undone.out and "receipts" in undone.out, undone
    assert site.database.rows(f"SELECT * FROM {MAPPED.format('analytics_events')} e ORDER BY id") == [row for row in theirs if f"{row[-1]:%Y-%m}" != gone]


def test_the_way_back_takes_all_rollups_with_it_and_nothing_else(old):
    """Those of the files that are shipped, and their twins: as the books name them. A table of the application that is called like one stays."""
    site, application = old(500, **{"rollups.dir": "", "uniques.subjects": ""})
    with application.connect() as cursor:
        cursor.execute("CREATE TABLE analytics_daily_own (n int); CREATE TABLE analytics_internal_weekly_own (n int)")
    schema = schema_of(site)
    for _ in range(2):
        adopt(site)
        assert site.tallymill("migrate", "--no-topic").code == 0
        site.database.run("CREATE TABLE analytics_weekly_of_ours (n int); ALTER TABLE analytics_weekly_of_ours OWNER TO tallymill_admin")
        adopt(site, "--undo")
        site.database.run("DROP TABLE analytics_weekly_of_ours")
        assert schema_of(site) == schema


INSERTED = "INSERT INTO analytics_events (event_name, event_category, session_id, user_id) VALUES ('login', {}, {}, {}) RETURNING id"


def test_what_the_old_columns_do_not_take_is_named_before_anything_is_changed(old):
    """By id and column; when it is mended, the way back goes through."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute("CREATE TABLE plans (id int PRIMARY KEY); INSERT INTO plans VALUES (1); ALTER TABLE analytics_events ADD COLUMN plan int DEFAULT 1 REFERENCES plans")
    rows = rows_of(site, "analytics_events")
    adopt(site)
    for values, why in ((("'other'", "NULL", "NULL"), "breaks CHECK analytics_events_category_check"), (("NULL", "NULL", "NULL"), "event_category is NULL"),
                        (("'usage'", "repeat('s', 65)", "5000000000"), "session_id has more than 64 characters, user_id is too large for integer")):
        with application.connect() as cursor:
            cursor.execute(INSERTED.format(*values))
            (misfit,) = cursor.fetchone()
        refused = adopt(site, "--undo", code=2)
        assert f"{misfit}: {why}" in refused.err and "UPDATE or DELETE them" in refused.err and "still the one in use" in refused.err, (why, refused)
        with application.connect() as cursor:
            cursor.execute("DELETE FROM analytics_events WHERE id = %s", (misfit,))
    with application.connect() as cursor:
        cursor.execute("UPDATE analytics_events SET plan = 2 WHERE id = (SELECT id FROM analytics_events WHERE user_id = 8 LIMIT 1)")
        refused = adopt(site, "--undo", code=2)
        assert "foreign key analytics_events_plan_fkey" in refused.err and "(plan)=(2)" in refused.err and "make the row anew" in refused.err, refused
        assert rows_of(site, "analytics_events_before") == rows
        cursor.execute("UPDATE analytics_events SET plan = 1 WHERE plan = 2; " + INSERTED.format("'usage'", "repeat('s', 64) || '  '", "2147483647"))
    adopt(site, "--undo")
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE length(session_id) = 64 AND user_id IS NULL") == 1


def test_rows_that_referred_to_nothing_from_the_beginning_come_back_as_they_were(old):
    """A foreign key that is NOT VALID says nothing of them."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events DROP CONSTRAINT analytics_events_user_id_fkey; UPDATE analytics_events SET user_id = 100000 + user_id WHERE user_id % 5 = 0;"
                       " ALTER TABLE analytics_events ADD CONSTRAINT of_users FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL NOT VALID")
    schema, rows = schema_of(site), rows_of(site, "analytics_events")
    adopt(site)
    adopt(site, "--undo")
    assert rows_of(site, "analytics_events") == rows and schema_of(site) == schema


def test_rights_that_new_views_get_by_themselves_are_taken_from_them(old):
    """ALTER DEFAULT PRIVILEGES of the login gives rights that the views did not have; and the table's owner may grant as before."""
    site, application = old(300)
    site.database.run(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC, {application.reader}")
    views = views_of(site)
    adopt(site)
    assert [one[:3] for one in views_of(site)] == [one[:3] for one in views]
    assert not site.database.value("SELECT has_table_privilege(%s, 'external_events', 'SELECT')", application.reader)
    assert site.database.value("SELECT has_table_privilege(%s, 'external_by_name', 'SELECT')", application.reader)
    with application.connect() as cursor:
        cursor.execute(f"GRANT INSERT ON analytics_events TO {application.reader}")
    site.database.run(f"ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC, {application.reader}")
