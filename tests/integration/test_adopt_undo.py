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


# What comes to the new tables behind the swap, how it is named, and what takes it away again.
SINCE = {
    "a column": ("ALTER TABLE analytics_events ADD COLUMN plan text", "column plan of public.analytics_events", "ALTER TABLE analytics_events DROP COLUMN plan"),
    "a column of the statistics": ("ALTER TABLE analytics_daily_stats ADD COLUMN extra int", "column extra of public.analytics_daily_stats", "ALTER TABLE analytics_daily_stats DROP COLUMN extra"),
    "a publication": ("CREATE PUBLICATION {} FOR TABLE analytics_events", "publication of table public.analytics_events in publication {}", "DROP PUBLICATION {}"),
    "a publication of a month": ("CREATE PUBLICATION {} FOR TABLE {month}", "in publication {}", "DROP PUBLICATION {}"),
    "a trigger": ("CREATE TRIGGER own BEFORE INSERT ON analytics_events FOR EACH ROW EXECUTE FUNCTION own()", "trigger own on table public.analytics_events", "DROP TRIGGER own ON analytics_events"),
    "a trigger of a month": ("CREATE TRIGGER own BEFORE INSERT ON {month} FOR EACH ROW EXECUTE FUNCTION own()", "trigger own on table public.{month}", "DROP TRIGGER own ON {month}"),
    "a policy": ("CREATE POLICY own ON analytics_events USING (true)", "policy own on table public.analytics_events", "DROP POLICY own ON analytics_events"),
    "a rule": ("CREATE RULE own AS ON DELETE TO analytics_daily_stats DO INSTEAD NOTHING", "rule own on table public.analytics_daily_stats", "DROP RULE own ON analytics_daily_stats"),
    "a foreign key to it": ("CREATE TABLE notes (event uuid, at timestamptz, FOREIGN KEY (event, at) REFERENCES analytics_events)", "constraint notes_event_at_fkey on table public.notes", "DROP TABLE notes"),
    "a foreign key of its own": ("ALTER TABLE analytics_events ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES users", "constraint own on table public.analytics_events", "ALTER TABLE analytics_events DROP CONSTRAINT own"),
    "a view on a month": ("CREATE VIEW of_month AS SELECT id FROM {month}", "view public.of_month", "DROP VIEW of_month"),
    "a view on the books": ("CREATE VIEW of_both AS SELECT e.id, b.first_offset FROM analytics_events e JOIN tallymill.batches b USING (batch_id)", "view public.of_both", "DROP VIEW of_both"),
    "a view on a view of ours": ("CREATE VIEW on_ours AS SELECT * FROM analytics_view_daily", "view public.on_ours", "DROP VIEW on_ours"),
    "a function over the books": ("CREATE FUNCTION f() RETURNS bigint RETURN (SELECT count(*) FROM tallymill.months)", "function public.f()", "DROP FUNCTION f()"),
    "a default that calls ours": ("CREATE TABLE notes (event uuid DEFAULT tallymill.adopted_id(1))", "default value for column event of table public.notes", "DROP TABLE notes"),
    "a policy of another table": ("CREATE TABLE notes (event uuid); CREATE POLICY own ON notes USING (event IN (SELECT id FROM analytics_events))", "policy own on table public.notes", "DROP TABLE notes"),
    "a row type in use": ("CREATE FUNCTION f(analytics_events) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f(public.analytics_events)", "DROP FUNCTION f(analytics_events)"),
}


def test_what_came_to_the_new_tables_since_is_named_before_anything_is_changed(old):
    """What the old ones have not, or what would go with our schema: columns, publications, triggers, keys, views on months. What is made anew over the old tables is no hindrance."""
    site, application = old(500)
    schema = schema_of(site)
    adopt(site)
    assert site.tallymill("migrate", "--no-topic").code == 0
    month = site.database.value("SELECT to_char(now() AT TIME ZONE 'UTC', '\"analytics_events_\"YYYY_MM')")
    site.database.run("CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    passed = []
    for number, (what, (made, named, gone)) in enumerate(SINCE.items()):
        made, named, gone = (text.replace("{month}", month).replace("{}", f"p_{number}") for text in (made, named, gone))
        site.database.run(made)
        refused = site.tallymill("adopt", "--undo")
        if refused.code != 2 or named not in refused.err or "still the one in use" not in refused.err:
            passed.append((what, named, refused))
        if refused.code == 0:
            break
        site.database.run(gone)
    assert not passed, passed
    site.database.run("DROP FUNCTION own()")
    with application.connect() as cursor:
        cursor.execute("CREATE VIEW since AS SELECT id, user_id FROM analytics_events; CREATE FUNCTION how_many() RETURNS bigint STABLE RETURN (SELECT count(*) FROM since)")
    adopt(site, "--undo")
    assert site.database.value("SELECT how_many()") == 500
    site.database.run("DROP FUNCTION how_many(); DROP VIEW since")
    assert schema_of(site) == schema and site.database.value(LEFT) == 0


def test_a_month_of_new_rows_alone_that_somebody_detached_is_not_lost_on_the_way_back(old):
    site, application = old(500)
    adopt(site)
    assert site.tallymill("migrate", "--no-topic").code == 0
    site.database.run("SELECT tallymill.make_month('2021-02-28')")
    with application.connect() as cursor:
        cursor.execute("INSERT INTO analytics_events (event_name, event_category, created_at) VALUES ('login', 'business', '2021-02-03')")
    bounds = site.database.value("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'analytics_events_2021_02'")
    site.database.run("ALTER TABLE analytics_events DETACH PARTITION analytics_events_2021_02")
    refused = adopt(site, "--undo", code=2)
    assert "detached): 2021-02" in refused.err and "ATTACH" in refused.err, refused
    site.database.run(f"ALTER TABLE analytics_events ATTACH PARTITION analytics_events_2021_02 {bounds}")
    adopt(site, "--undo")
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE created_at = '2021-02-03'") == 1


def test_ids_that_came_twice_are_named_before_anything_is_changed(old):
    """The key of the new table is (id, created_at): the old one takes an id once."""
    site, application = old(500)
    adopt(site)
    rows = rows_of(site, "analytics_events_before")
    with application.connect() as cursor:
        cursor.execute("INSERT INTO analytics_events (id, event_name, event_category) SELECT id, 'twin', 'usage' FROM analytics_events WHERE user_id = 8 RETURNING id")
        (twin,) = cursor.fetchone()
        cursor.execute("INSERT INTO analytics_events (id, event_name, event_category, created_at) SELECT '00000000-0000-0000-0000-000000000001', 'new twin', 'usage', now() - n * interval '1 hour' FROM generate_series(1, 2) n")
    refused = adopt(site, "--undo", code=2)
    assert twin in refused.err and "00000000-0000-0000-0000-000000000001" in refused.err and "more than once" in refused.err and "still the one in use" in refused.err, refused
    assert rows_of(site, "analytics_events_before") == rows
    site.database.run("DELETE FROM analytics_events WHERE event_name IN ('twin', 'new twin')")
    adopt(site, "--undo")
    assert rows_of(site, "analytics_events") == rows
