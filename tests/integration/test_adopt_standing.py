"""`tallymill adopt`: views, foreign keys, triggers, rights, publications and what else stands on the old table, taken along and given back."""

import re

from .harness.adopting import DEADLINE, LEFT, adopt, schema_of
from .test_adopt import STATISTICS

MATERIALIZED = """
    CREATE MATERIALIZED VIEW per_day AS SELECT date_trunc('day', created_at) AS day, count(*) AS events, count(DISTINCT user_id) AS users FROM analytics_events GROUP BY 1;
    CREATE UNIQUE INDEX per_day_key ON per_day (day);
    COMMENT ON MATERIALIZED VIEW per_day IS 'By day';
    GRANT SELECT ON per_day TO PUBLIC;
    CREATE VIEW last_days AS SELECT * FROM per_day ORDER BY day DESC LIMIT 7"""
MATERIAL = """SELECT c.relname, pg_get_viewdef(c.oid), pg_get_userbyid(c.relowner), c.relacl::text, obj_description(c.oid), (SELECT array_agg(pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid = c.oid)
              FROM pg_class c WHERE c.relname IN ('per_day', 'last_days') ORDER BY 1"""


def test_materialized_views_are_made_anew_over_the_new_table(old):
    site, application = old(3_000, build="check")
    with application.connect() as cursor:
        cursor.execute(MATERIALIZED)
    before, days = site.database.rows(MATERIAL), site.database.rows("SELECT * FROM per_day ORDER BY 1")
    killed = site.start("tallymill", "adopt", failpoint="adopt_view:exit")
    assert killed.wait(DEADLINE) == 86, killed.log()
    assert site.database.rows("SELECT * FROM per_day ORDER BY 1") == days
    adopt(site)
    assert site.database.rows(MATERIAL) == before and site.database.rows("SELECT * FROM per_day ORDER BY 1") == days
    site.database.run("SELECT tallymill.make_month('2024-02-29')")
    with application.connect() as cursor:
        cursor.execute("INSERT INTO analytics_events (event_name, event_category, created_at) VALUES ('login', 'business', '2024-02-29'); REFRESH MATERIALIZED VIEW CONCURRENTLY per_day")
    assert site.database.value("SELECT min(day)::date::text FROM per_day") == "2024-02-29"
    adopt(site, "--finish")


STANDING = """
    COMMENT ON INDEX of_the_application IS 'What was done';
    CREATE FUNCTION stamp() RETURNS text LANGUAGE sql AS 'SELECT ''stamped''';
    REVOKE ALL ON FUNCTION stamp() FROM PUBLIC;
    ALTER TABLE analytics_events ADD COLUMN number BIGSERIAL, ADD COLUMN tag TEXT DEFAULT 'plain', ADD COLUMN stamp TEXT DEFAULT stamp(), ALTER COLUMN event_category SET DEFAULT 'usage';
    CREATE STATISTICS name_and_category (dependencies) ON event_name, event_category FROM analytics_events;
    ALTER STATISTICS name_and_category SET STATISTICS 500;
    COMMENT ON STATISTICS name_and_category IS 'They go together';
    CREATE FUNCTION note(name text) RETURNS uuid BEGIN ATOMIC INSERT INTO analytics_events (event_name) VALUES (name) RETURNING id; END;
    GRANT EXECUTE ON FUNCTION note(text) TO PUBLIC;
    COMMENT ON FUNCTION note(text) IS 'Writes one';
    CREATE FUNCTION external() RETURNS bigint STABLE RETURN (SELECT count(*) FROM external_events);
    CREATE VIEW how_many AS SELECT external() AS events;
    CREATE VIEW writable AS SELECT event_name, tag, is_internal FROM external_events CROSS JOIN LATERAL (SELECT 'x'::text AS tag, false AS is_internal) t;
    ALTER VIEW writable ALTER COLUMN tag SET DEFAULT 'seen';
    CREATE RULE put AS ON INSERT TO writable DO INSTEAD INSERT INTO analytics_events (event_name, tag) VALUES (NEW.event_name, NEW.tag);
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER del INSTEAD OF DELETE ON writable FOR EACH ROW EXECUTE FUNCTION nothing();
    COMMENT ON TABLE analytics_daily_stats IS 'By day';
    COMMENT ON COLUMN analytics_daily_stats.event_count IS 'Without our own';
    ALTER TABLE analytics_daily_stats ADD COLUMN extra INTEGER;
    COMMENT ON COLUMN analytics_daily_stats.extra IS 'Ours has it not';
    GRANT SELECT (date, extra) ON analytics_daily_stats TO PUBLIC;
    CREATE STATISTICS of_days ON event_name, event_count FROM analytics_daily_stats;
    CREATE STATISTICS of_extras ON event_name, extra FROM analytics_daily_stats;
    CREATE VIEW by_day AS SELECT date, sum(event_count) AS events FROM analytics_daily_stats GROUP BY date;
    CREATE VIEW of_both AS SELECT d.date, d.events, (SELECT count(*) FROM external_events e WHERE (e.created_at AT TIME ZONE 'UTC')::date = d.date) AS counted FROM by_day d;
    CREATE FUNCTION busiest() RETURNS date STABLE RETURN (SELECT date FROM by_day ORDER BY events DESC, date LIMIT 1);
    CREATE MATERIALIZED VIEW by_month AS SELECT date_trunc('month', date) AS month, sum(event_count)::bigint AS events FROM analytics_daily_stats GROUP BY 1;
    CREATE UNIQUE INDEX by_month_key ON by_month (month);
    CREATE VIEW last_month AS SELECT * FROM by_month ORDER BY month DESC LIMIT 1;
    CREATE FUNCTION all_months() RETURNS numeric STABLE BEGIN ATOMIC SELECT sum(events) FROM by_month; END"""
STANDS = """
    SELECT 'view ' || c.relname, pg_get_viewdef(c.oid) || coalesce(c.relacl::text, '') || (SELECT string_agg(pg_get_ruledef(r.oid), ';' ORDER BY r.rulename) FROM pg_rewrite r WHERE r.ev_class = c.oid)
      || coalesce((SELECT string_agg(pg_get_triggerdef(g.oid), ';') FROM pg_trigger g WHERE g.tgrelid = c.oid), '') FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.relnamespace = 'public'::regnamespace
      AND c.relname !~ '^analytics_view_'
    UNION ALL SELECT 'function ' || p.proname, p.oid || pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') || coalesce(obj_description(p.oid, 'pg_proc'), '') FROM pg_proc p
      WHERE p.prosqlbody IS NOT NULL AND p.pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'statistics', pg_get_statisticsobjdef(x.oid) || x.stxstattarget || obj_description(x.oid, 'pg_statistic_ext') FROM pg_statistic_ext x WHERE x.stxname = 'name_and_category'
    UNION ALL SELECT 'default ' || a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      WHERE d.adrelid = 'analytics_events'::regclass AND a.attname <> 'event_data'
    UNION ALL SELECT 'comments', concat_ws(';', obj_description('of_the_application'::regclass), obj_description('analytics_daily_stats'::regclass), col_description('analytics_daily_stats'::regclass, 3))
    ORDER BY 1"""


def test_what_stands_on_both_tables_goes_with_them(old):
    """Views, functions bound to the tables, statistics objects, sequences, defaults: as they were, over the new tables, through --finish."""
    site, application = old(2_000)
    with application.connect() as cursor:
        cursor.execute(STATISTICS)
        cursor.execute(STANDING)
    stands, months = site.database.rows(STANDS), site.database.rows("SELECT * FROM by_month ORDER BY 1")
    most = site.database.value("SELECT max(number) FROM analytics_events")
    plan = adopt(site, "--plan").out
    assert "note(text)" in plan and re.search(r"views, made anew in the swap: .*public.by_day.*public.of_both", plan) and "behind the swap: public.by_month" in plan, plan
    done = adopt(site)
    assert "public.by_month" in done.err, done
    assert [one for one in site.database.rows(STANDS) if one[0] != "view by_month"] == [one for one in stands if one[0] != "view by_month"]  # which waits for the aggregator
    with application.connect() as cursor:
        cursor.execute("SELECT note('login'); INSERT INTO writable (event_name) VALUES ('login')")
    assert site.database.rows("SELECT event_category, tag, number FROM analytics_events WHERE number > %s ORDER BY number", most) == [("usage", "plain", most + 1), ("usage", "seen", most + 2)]
    assert site.database.rows("SELECT * FROM by_month ORDER BY 1") == months
    assert site.tallymill("migrate").code == 0
    waiting = site.tallymill("adopt", "--finish")
    assert waiting.code == 1 and "public.by_month" in waiting.err and "Nothing was dropped" in waiting.err, waiting
    assert site.produce("--generate", "100", "--seed", "1", "--days", "1").code == 0
    site.drain()
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE batch_id IS NOT NULL AND number > %s AND (tag, stamp) = ('plain', 'stamped')", most) == 100
    site.fold()
    adopt(site, "--finish")
    assert site.database.rows(STANDS) == stands
    assert site.database.value("SELECT count(*) FROM of_both WHERE events <> counted") == 0
    assert site.database.value("SELECT all_months() = external() AND busiest() IS NOT NULL")
    with application.connect() as cursor:
        cursor.execute("SELECT note('login')")
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE event_name = 'login' AND number > %s AND batch_id IS NULL", most) == 3


def test_undone_what_stands_on_both_tables_stands_on_the_old_ones(old):
    site, application = old(2_000, build="check")
    with application.connect() as cursor:
        cursor.execute(STATISTICS)
        cursor.execute(STANDING)
    schema, months = schema_of(site), site.database.rows("SELECT * FROM by_month ORDER BY 1")
    adopt(site)
    assert site.tallymill("migrate", "--no-topic").code == 0
    site.fold()
    adopt(site)
    with application.connect() as cursor:
        cursor.execute("SELECT note('login')")
    adopt(site, "--undo")
    assert schema_of(site) == schema
    assert site.database.value(LEFT) == 0
    assert site.database.rows("SELECT * FROM by_month ORDER BY 1") == months
    with application.connect() as cursor:
        cursor.execute("SELECT note('login')")
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE number > 2000") == 2


def test_what_came_since_and_stands_on_the_old_tables_is_named_before_they_are_dropped(old):
    site, application = old(300)
    adopt(site)
    with application.connect() as cursor:
        cursor.execute("CREATE VIEW of_before AS SELECT id FROM analytics_events_before")
    refused = adopt(site, "--finish", code=2)
    assert "view public.of_before" in refused.err and "nothing was dropped" in refused.err, refused
    site.database.run("DROP VIEW of_before")
    adopt(site, "--finish")


def test_what_comes_meanwhile_and_would_be_lost_keeps_the_tables_from_being_swapped(old):
    """A policy, a rule, a key to it: as at the beginning, and it goes on when they are gone."""
    site, application = old(1_000, build="check")
    killed = site.start("tallymill", "adopt", failpoint="adopt_compare:exit")
    assert killed.wait(DEADLINE) == 86, killed.log()
    site.database.run("CREATE TABLE notes (event uuid REFERENCES analytics_events); CREATE POLICY own ON notes USING (event IN (SELECT id FROM analytics_events))")
    refused = adopt(site, code=2)
    assert "DROP CONSTRAINT notes_event_fkey" in refused.err and "policy own" in refused.err and "Nothing was swapped" in refused.err, refused
    assert site.database.value("SELECT relkind FROM pg_class WHERE oid = 'analytics_events'::regclass") == "r"
    site.database.run("DROP TABLE notes")
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events ALTER COLUMN event_category SET DEFAULT 'usage'; CREATE INDEX of_users ON analytics_events (user_id, created_at)")
        cursor.execute(STATISTICS)
    refused = adopt(site, code=2)
    assert "analytics_daily_stats is another table than when its adoption began" in refused.err and "--abandon" in refused.err, refused
    site.database.run("DROP TABLE analytics_daily_stats")
    adopt(site)
    assert "(user_id, created_at)" in site.database.value("SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = 'analytics_events'::regclass AND i.indexrelid = 'of_users'::regclass")
    site.database.run("INSERT INTO analytics_events (event_name) VALUES ('login')")
    assert site.database.value("SELECT count(*) FROM analytics_events WHERE event_category = 'usage' AND created_at = (SELECT max(created_at) FROM analytics_events)") == 1


def test_a_subscription_that_writes_the_table_stops_it(old):
    site, _ = old(50)
    site.database.run("""
        CREATE SUBSCRIPTION warehouse CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE, enabled = false);
        SET allow_system_table_mods = on;
        INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT oid, 'analytics_events'::regclass, 'r' FROM pg_subscription WHERE subname = 'warehouse'""")
    try:
        assert "subscription warehouse writes public.analytics_events" in adopt(site, "--plan", code=2).out
    finally:
        site.database.run("DROP SUBSCRIPTION warehouse")


def published(site, name):
    return {f"{schema}.{table}" for schema, table in site.database.rows("SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = %s", name)}


def test_what_publications_publish_is_said_before_and_is_so_afterwards(old):
    """One of a list of tables must let go of the table and gets it back; one of all tables, or of the schema, publishes the months: said, and done when it was agreed to. Workers and
    aggregator change rows of no table that a publication forbids to be changed."""
    site, _ = old(500)
    site.database.run("CREATE PUBLICATION listed FOR TABLE analytics_events WITH (publish_via_partition_root = true); CREATE PUBLICATION everything FOR ALL TABLES;"
                      " CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true)")
    plan = adopt(site, "--plan", code=2).out
    assert "ALTER PUBLICATION listed DROP TABLE public.analytics_events" in plan and "ADD TABLE" in plan, plan
    assert "publication everything is of all tables:" in plan and "publication of_schema is of all tables in schema public" in plan and plan.count("--months-are-published") == 2, plan
    site.database.run("ALTER PUBLICATION listed DROP TABLE analytics_events")
    plan = adopt(site, "--plan", "--months-are-published").out
    assert "everything, of_schema" in plan, plan
    adopt(site, "--months-are-published")
    site.database.run("ALTER PUBLICATION listed ADD TABLE analytics_events")
    assert published(site, "listed") == {"public.analytics_events"}
    month = site.database.value("SELECT to_char(now() AT TIME ZONE 'UTC', '\"public.analytics_events_\"YYYY_MM')")
    assert {month, "public.analytics_events_before"} <= published(site, "everything")
    assert {"public.analytics_events", "public.analytics_events_before"} <= published(site, "of_schema")
    assert month not in published(site, "of_schema")
    assert site.tallymill("migrate").code == 0
    assert site.produce("--generate", "100", "--seed", "1", "--days", "1").code == 0
    site.drain()
    site.fold()
    assert site.tallymill("audit").code == 0
    adopt(site, "--finish")
    assert not [name for name in published(site, "everything") if "before" in name or "adopt" in name]
