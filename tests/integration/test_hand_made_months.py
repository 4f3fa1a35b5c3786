"""Months that somebody made by hand, a DEFAULT partition, a parent that somebody changed: each is counted, followed, or named with its remedy."""

import datetime
import re

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.publisher import event, events, instant
from .harness.waiting import wait_until
from .test_rights import as_worker, refused

COUNTS = "SELECT sum(event_count) FROM analytics_daily_stats WHERE date >= %s AND date < %s"


def next_month(ahead=14):
    """The first day of a month that no program has made, and of the one behind it."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    number = today.year * 12 + today.month - 1 + ahead
    return tuple(datetime.date(n // 12, n % 12 + 1, 1) for n in (number, number + 1))


def in_month(first, count=40):
    return [event("made_by_hand", instant(f"{first}T12:00:00") + number, session_id=f"s-{number % 7}") for number in range(count)]


def by_another_owner(site):
    """A login that owns tables and has granted nobody anything: only a superuser makes it one of the parent's, so tables are made and handed over."""
    owner = f"owner_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {owner} LOGIN")
    return owner


@pytest.mark.parametrize("name, way", [("analytics_events_%Y_%m", "part of"), ("july_of_marketing", "part of"), ("Odd \"name\"", "attach"),
                                       ("analytics_events_%Y_%m", "attach")])
def test_a_month_made_by_hand_is_counted_whatever_its_name_and_owner(make_site, name, way):
    site = make_site(partitions=2, **{"window.ahead": "3000 days"})
    site.log_in_as("hand_made_reader")
    first, after = next_month()
    table = '"' + first.strftime(name).replace('"', '""') + '"'
    owner = by_another_owner(site)
    bounds = f"FOR VALUES FROM ('{first}') TO ('{after}')"
    if way == "part of":
        site.database.run(f"CREATE TABLE public.{table} PARTITION OF analytics_events {bounds}")
    else:
        site.database.run(f"CREATE TABLE public.{table} (LIKE analytics_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"
                          f"ALTER TABLE analytics_events ATTACH PARTITION public.{table} {bounds}")
    site.database.run(f"ALTER TABLE public.{table} OWNER TO {owner}")
    aggregator = site.aggregator()
    site.send([*in_month(first), *events(100)])
    site.drain()
    wait_until(lambda: site.database.value(COUNTS, first, after) == 40, 60, lambda: f"the month to be counted:\n{aggregator.log()[-2000:]}")
    site.send(in_month(first))
    site.drain()
    wait_until(lambda: site.database.value(COUNTS, first, after) == 80, 60, "the month to be counted on")
    site.database.run(f"INSERT INTO analytics_events (event_name, created_at) VALUES ('foreign', '{first}')")
    wait_until(lambda: site.database.value(COUNTS, first, after) == 81, 60, "rows of others in it to be counted")
    assert aggregator.stop() == 0, aggregator.log()
    assert site.database.value("SELECT state FROM tallymill.months WHERE month = %s", first) == "open"
    assert site.database.value("SELECT tallymill.make_month(%s)", first) is False
    for command in (("audit", "--deep"), ("verify",)):
        done = site.tallymill(*command)
        assert done.code == 0, done
    done = site.tallymill("audit")
    assert "GRANT SELECT ON" in done.out and owner in done.out, done
    site.assert_holds()


@pytest.mark.parametrize("bounds", ["DEFAULT", "FOR VALUES FROM ('{first} 02:00+02') TO ('{after} 02:00+02')", "FOR VALUES FROM ('{first}') TO ('{far}')"])
def test_rows_outside_of_months_are_damage_until_the_statements_that_are_given_have_moved_them(make_site, bounds):
    site = make_site(partitions=2, **{"window.ahead": "3000 days"})
    first, after = next_month()
    _, far = next_month(ahead=15)
    site.send(events(100))
    site.drain()  # so that their months are there
    site.database.run(f"SET timezone = 'UTC'; CREATE TABLE public.odd PARTITION OF analytics_events {bounds.format(first=f'{first}', after=after, far=far)}"
                      if "02:00" not in bounds else
                      f"SET timezone = 'Europe/Berlin'; CREATE TABLE public.odd PARTITION OF analytics_events FOR VALUES FROM ('{first}') TO ('{after}')")
    site.send(in_month(first))
    site.drain()
    site.must("tallymill-aggregator", "--once", deadline=60)
    assert site.database.value("SELECT count(*) FROM odd") == 40
    assert site.database.value(COUNTS, "2000-01-01", first) > 50    # the other months go on
    done = site.tallymill("audit")
    assert done.code == 1 and "odd" in done.out, done
    migrated = site.tallymill("migrate")
    assert migrated.code == 2 and "odd" in migrated.err, migrated
    statements = re.search(r"(BEGIN; .* COMMIT;)", done.out).group(1)
    site.database.run(statements)
    site.fold()
    assert site.database.value(COUNTS, first, far) == 40
    for command in ("audit", "verify", "migrate"):
        done = site.tallymill(command)
        assert done.code == 0, done
    site.assert_holds()


@pytest.mark.parametrize("name", ["back_again", "analytics_events_2021_03"])
def test_a_month_made_by_hand_for_one_that_is_archived_is_damage_until_it_was_moved(make_site, tmp_path, name):
    site = make_site(partitions=1, **{"window.oldest": "2020-01-01", "archive.target": tmp_path / "archive"})
    (tmp_path / "archive").mkdir()
    site.send([event(created_us=instant("2021-03-10") + number) for number in range(30)])
    site.drain()
    site.fold()
    site.must("tallymill", "archive", "2021-03", "--yes")
    site.database.run(f"SET timezone = 'UTC'; CREATE TABLE public.{name} PARTITION OF analytics_events FOR VALUES FROM ('2021-03-01') TO ('2021-04-01')")
    site.send([event(created_us=instant("2021-03-11") + number) for number in range(20)])
    site.drain()
    site.fold()
    audited = site.tallymill("audit")
    assert audited.code == 1 and name in audited.out and "tallymill restore 2021-03" in audited.out, audited
    migrated = site.tallymill("migrate")
    assert migrated.code == 2 and name in migrated.err, migrated
    before, after = re.search(r"superuser: (ALTER .*;) then: tallymill restore 2021-03; then: (BEGIN; .* COMMIT;)", audited.out).groups()
    site.database.run(before)
    site.must("tallymill", "restore", "2021-03")
    site.database.run(after)
    site.fold()
    assert site.database.value(COUNTS, "2021-03-01", "2021-04-01") == 50
    for command in ("audit", "verify", "migrate"):
        done = site.tallymill(command)
        assert done.code == 0, done
    site.assert_holds()


def test_the_statements_that_are_given_lose_no_row_and_leave_those_of_archived_months(make_site):
    site = make_site(partitions=1)
    first, after = next_month()
    site.database.run(f"""
        CREATE TABLE public.odd PARTITION OF analytics_events DEFAULT;
        INSERT INTO tallymill.months (month, state) VALUES ('2019-05-01', 'archived');
        INSERT INTO analytics_events (event_name, created_at) VALUES ('one', '{first}'), ('two', '2019-05-02'), ('three', '1950-01-01'), ('four', '{first}');
        CREATE FUNCTION public.keep_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER keep_out BEFORE INSERT ON analytics_events FOR EACH ROW WHEN (NEW.event_name = 'four') EXECUTE FUNCTION public.keep_out()""")
    statements = re.search(r"(BEGIN; .* COMMIT;)", site.tallymill("audit").out).group(1)
    with pytest.raises(psycopg2.Error, match="only 1 rows"):
        site.database.run(statements)
    site.database.run("ROLLBACK; DROP TRIGGER keep_out ON analytics_events")
    site.database.run(statements)
    assert site.database.value(f"SELECT count(*) FROM analytics_events WHERE created_at = '{first}'") == 2
    assert site.database.rows("SELECT event_name FROM odd ORDER BY 1") == [("three",), ("two",)]


def test_months_follow_a_parent_that_somebody_changed(make_site):
    site = make_site(partitions=1, **{"window.oldest": "2019-01-01"})
    # Before 17 an identity is the parent's alone, and cannot be added with its column.
    only = "ONLY" if site.database.value("SELECT current_setting('server_version_num')::integer < 170000") else ""
    site.database.run(f"""
        ALTER TABLE analytics_events ADD COLUMN number bigint NOT NULL, ADD COLUMN always integer NOT NULL,
          ADD COLUMN site text NOT NULL DEFAULT 'main' CHECK (site <> ''), ADD COLUMN name_length integer GENERATED ALWAYS AS (length(event_name)) STORED;
        ALTER TABLE {only} analytics_events ALTER COLUMN number ADD GENERATED BY DEFAULT AS IDENTITY, ALTER COLUMN always ADD GENERATED ALWAYS AS IDENTITY;
        ALTER TABLE analytics_events ALTER COLUMN event_data SET STORAGE EXTERNAL, ALTER COLUMN event_data SET COMPRESSION {compression_beside_the_default(site)},
          ALTER COLUMN session_id SET STATISTICS 500, ALTER COLUMN user_id SET (n_distinct = -0.5);
        CREATE STATISTICS public.names_and_categories (dependencies) ON event_name, event_category FROM analytics_events;
        CREATE INDEX site_and_time ON analytics_events (site, created_at)""")
    site.send([event(created_us=instant(f"20{year}-{month:02}-10")) for year in (19, 20, 21) for month in (1, 5, 12)])
    site.drain()
    assert site.outcomes() == (9, 0, 0, 0)
    made = "analytics_events_2020_05"
    # Newer servers number a column's versions in an option of their own.
    columns = ("SELECT attname, attstorage::text, attcompression::text, attstattarget, array_remove(attoptions, (SELECT o FROM unnest(attoptions) o WHERE o LIKE 'pg_attver=%%'))"
               " FROM pg_attribute WHERE attrelid = %s::regclass AND attname IN ('event_data', 'session_id', 'user_id') ORDER BY 1")
    assert site.database.rows(columns, made) == site.database.rows(columns, "analytics_events")
    assert site.database.value(f"SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = '{made}'::regclass") == 1
    assert site.database.value(f"SELECT count(*) FROM pg_indexes WHERE tablename = '{made}' AND indexdef LIKE '%%(site, created_at)%%'") == 1
    assert site.database.rows("SELECT count(DISTINCT number), count(DISTINCT always), min(site), min(name_length) FROM analytics_events") == [(9, 9, "main", 16)]
    site.fold()
    site.assert_holds()


def test_events_that_come_again_are_duplicates_in_a_month_of_any_schema_name_and_key(make_site):
    site = make_site(partitions=1, **{"window.ahead": "3000 days", "batch.max_rows": 100})
    months = [next_month(ahead=ahead)[0] for ahead in (20, 21, 22)]
    long_name = "a_month_whose_name_is_so_long_that_postgres_cuts_that_of_its_key"[:63]
    site.database.run(f"""
        CREATE SCHEMA shelf;
        CREATE TABLE shelf.theirs PARTITION OF analytics_events FOR VALUES FROM ('{months[0]}') TO ('{months[1]}');
        CREATE TABLE shelf.{long_name} PARTITION OF analytics_events FOR VALUES FROM ('{months[1]}') TO ('{months[2]}')""")
    made = [*in_month(months[0], 300), *in_month(months[1], 300)]
    site.send(made)
    site.drain()
    site.send(made)
    worker = site.drain()
    assert site.outcomes() == (600, 600, 0, 0) and site.reasons() == {}
    assert "INSERT ... ON CONFLICT" in worker.log() and "not stored" not in worker.log(), worker.log()
    # A key of another name is found by trying, once for many batches.
    site.database.run(f"""
        CREATE TABLE shelf.keyed (LIKE analytics_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS, CONSTRAINT their_key PRIMARY KEY (id, created_at));
        ALTER TABLE analytics_events ATTACH PARTITION shelf.keyed FOR VALUES FROM ('{months[2]}') TO ('{next_month(ahead=23)[0]}')""")
    more = in_month(months[2], 600)
    site.send(more)
    site.drain()
    site.send(more)
    worker = site.drain()
    assert site.outcomes() == (1200, 1200, 0, 0) and site.reasons() == {}
    assert worker.log().count("not stored") == 1, worker.log()
    site.fold()
    for command in ("audit", "verify"):
        done = site.tallymill(command)
        assert done.code == 0, done
    site.assert_holds()


def compression_beside_the_default(site):
    """lz4, or where the server was built without it pglz by name: either is another mark in the catalogue than none."""
    try:
        site.database.run("CREATE TABLE public.probe (t text COMPRESSION lz4); DROP TABLE public.probe")
    except psycopg2.errors.FeatureNotSupported:
        return "pglz"
    return "lz4"


def test_a_month_that_was_looked_at_is_not_looked_at_again(make_site, months=24):
    """So neither making a month nor looking for those made by hand costs more the more months there are."""
    site = make_site(partitions=1)
    site.database.run(f"SELECT tallymill.make_month(('2001-01-01'::date + n * interval '1 month')::date) FROM generate_series(1, {months}) AS n")
    site.database.run("SELECT tallymill.register_months()")
    with site.database.session() as session, session.cursor() as cursor:
        session.autocommit = False
        cursor.execute("SET track_functions = 'all'")
        looks = """SELECT coalesce(sum(pg_stat_get_xact_function_calls(p.oid)), 0)::int FROM pg_proc p
                   WHERE p.proname IN ('partition_month', 'is_strange', 'table_partitions')"""
        for statement in ("SELECT tallymill.register_months()", "SELECT tallymill.make_month('2010-01-01')", "SELECT tallymill.make_month('2010-01-01')"):
            cursor.execute(statement)
            cursor.execute(looks)
            assert cursor.fetchone() == (0,), statement
        cursor.execute("ALTER TABLE analytics_events_2001_03 RENAME TO march")
        cursor.execute("SELECT month::text, leaf FROM tallymill.register_months()")
        assert cursor.fetchall() == [("2001-03-01", "public.march")]
        cursor.execute(looks)
        assert 0 < cursor.fetchone()[0] <= 4, "only what has changed"
        cursor.execute("ALTER TABLE march RENAME TO analytics_events_2001_03")  # in the same transaction: what it says is seen all the same
        cursor.execute("SELECT month::text, leaf FROM tallymill.register_months()")
        assert cursor.fetchall() == [("2001-03-01", "public.analytics_events_2001_03")]


def rows_passed(plan):
    """Rows that a plan looked at, whether it kept them or not."""
    own = plan["Actual Rows"] + sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Join Filter", "Index Recheck"))
    return own * plan["Actual Loops"] + sum(rows_passed(child) for child in plan.get("Plans", ()))


def test_asking_which_months_are_attached_looks_at_each_once(make_site, few=10, many=100):
    """Every cycle asks it: a look at all tables for each month is what made a day dearer the longer the history."""
    site = make_site(partitions=1)
    passed = []
    for months in (few, many):
        site.database.run(f"SELECT tallymill.make_month(('2001-01-01'::date + n * interval '1 month')::date) FROM generate_series(1, {months}) AS n")
        site.database.run("ANALYZE tallymill.months")
        with site.database.session() as session, session.cursor() as cursor:
            cursor.execute("SET jit = off; SET enable_seqscan = off; EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM tallymill.attached_months")
            passed.append(rows_passed(cursor.fetchone()[0][0]["Plan"]))
    assert passed[1] < 2 * many / few * passed[0], f"rows looked at, at {few} and {many} months more than the site's own: {passed}"


def test_months_are_made_from_1970_to_ten_years_ahead_and_no_others(site):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    with as_worker(site).cursor() as cursor:
        make = "SELECT tallymill.make_month(%s)"
        for day in ("1969-12-31", today + datetime.timedelta(days=3651), "9999-12-31", "0001-01-01 BC", "infinity", "-infinity", None):
            assert refused(cursor, make, day) == "TM004"
        for day in ("1970-01-01", today + datetime.timedelta(days=3650)):
            cursor.execute(make, (day,))


def test_an_event_of_no_month_is_a_dead_letter_and_its_neighbours_are_stored(make_site):
    site = make_site(partitions=1, **{"window.oldest": "1950-01-01"})
    site.send([*events(50), event(created_us=instant("1965-05-05")), *events(50, seed=2)])
    site.drain()
    assert (site.outcomes(), site.reasons()) == ((100, 0, 1, 0), {"ts_range": 1})
    site.fold()
    site.assert_holds()


def test_a_login_that_reads_only_the_parent_is_enough(make_site):
    """Not even the tables of our own months need a right of their own to be counted."""
    site = make_site(partitions=1)
    site.log_in_as("parent_reader")
    leaf = site.database.value("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass LIMIT 1")
    site.database.run("""
        DO $$ DECLARE leaf regclass; BEGIN
          FOR leaf IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'analytics_events'::regclass LOOP
            EXECUTE format('REVOKE ALL ON %s FROM tallymill_read', leaf);
          END LOOP; END $$""")
    site.send(events(200))
    site.drain()
    site.fold()
    done = site.tallymill("audit")
    assert done.code == 0 and f"GRANT SELECT ON public.{leaf} TO tallymill_read" in done.out, done
    site.assert_holds()
    assert extensions.parse_dsn(site.database.dsn)["user"] == "postgres"
