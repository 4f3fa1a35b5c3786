"""Who may do what: look-alikes of functions and operators that a stranger plants, deltas of others, and how much a login may enter."""

import itertools
import pathlib
import re

import psycopg2
import pytest
from psycopg2 import extensions

from .harness.program import ROOT
from .harness.publisher import event, events
from .harness.rolling import COUNTED
from .test_hostile_settings import add_rollup, live

# Types that a value of ours may be taken for, where no function fits it exactly.
KINDS = [
    ("text", "character varying", "name", "bpchar", '"char"'), ("date", "timestamp", "timestamptz", "time"),
    ("smallint", "integer", "bigint", "numeric", "real", "double precision"), ("regclass", "text", "oid", "regproc", "name"),
    ("jsonb", "json", "text"), ("uuid", "text"), ("interval", "time"), ("bytea", "text"), ("anyelement", "anyarray"),
    ("text[]", "character varying[]", "name[]", "anyarray"), ("bigint[]", "integer[]", "anyarray"), ("boolean",),
]
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", "->", "->>", "#>", "#>>", "~~", "~", "@>", "<@", "&")


def words_of_our_sql():
    """Every word that stands before a parenthesis in SQL of ours, in files and in C."""
    folders = ("schemas", "operator", "aggregator", "consumer", "common")
    texts = (path.read_text() for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".sql", ".c", ".h"))
    return sorted({word for text in texts for word in re.findall(r"\b([a-z_0-9]+) ?\(", text)})


def near(kind):
    """Types that stand close to one, itself left out."""
    return sorted({other for family in KINDS if kind in family for other in family} - {kind})


def plant_look_alikes(site):
    """In `public`, by a login that may CREATE there and nothing else: functions and operators of the names that our SQL uses, for types
    that fit ours as well or better than those of pg_catalog. Each that is called says so and fails. Returns how many there are."""
    planter = f"planter_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {planter} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {planter};"
                      "CREATE SEQUENCE public.called; GRANT ALL ON SEQUENCE public.called TO PUBLIC")
    known = site.database.rows("""
        SELECT DISTINCT p.proname, string_to_array(replace(oidvectortypes(p.proargtypes), ', ', ','), ','), p.prokind::text FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.pronargs BETWEEN 1 AND 4 AND p.provariadic = 0
          AND p.proname = ANY (%s)""", words_of_our_sql())
    taken = {(name, tuple(kinds)) for name, kinds, _ in known}
    body = ("LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('public.called'::pg_catalog.regclass);"
            " RAISE EXCEPTION 'a look-alike was called by %', current_user; END $$")
    made = 0
    planting = psycopg2.connect(extensions.make_dsn(site.database.dsn, user=planter))
    planting.autocommit = True
    with planting.cursor() as cursor:
        cursor.execute("SET check_function_bodies = off")    # the same body each time

        def attempt(statement):
            try:
                cursor.execute(statement)
                return 1
            except psycopg2.Error:    # types that do not go together: no attack either
                return 0

        for name, kinds, _ in known:
            short = [{"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}.get(kind, kind) for kind in kinds]
            for number, kind in enumerate(short):
                for other in near(kind):
                    arguments = (*short[:number], other, *short[number + 1:])
                    if (name, arguments) not in taken and not any(a.startswith("any") for a in arguments):
                        taken.add((name, arguments))
                        made += attempt(f"CREATE FUNCTION public.{name}({', '.join(arguments)}) RETURNS text {body}")
        for number, (left, right) in enumerate(itertools.product(sorted(set(sum(KINDS[:7], ()))), repeat=2)):
            function = f"public.op_{number}"
            assert attempt(f"CREATE FUNCTION {function}({left}, {right}) RETURNS boolean {body}")
            made += len(OPERATORS) * attempt(";".join(
                f"CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {function})" for operator in OPERATORS))
    planting.close()
    return made


def test_a_look_alike_of_anything_that_our_sql_calls_is_never_called(make_site):
    site = make_site()
    assert plant_look_alikes(site) > 9000
    site.log_in_as("look_alike_victim")
    site.database.run("GRANT tallymill_admin TO look_alike_victim")
    live(site, is_checked=False)    # the checker is no program of ours, and would call them
    for command in (("refresh",), ("dlq", "--json"), ("status", "--json")):
        done = site.tallymill(*command)
        assert done.code == 0, done
    assert site.database.value("SELECT is_called FROM public.called") is False


def test_a_rollup_whose_query_names_its_schemas_calls_no_look_alike_either(make_site):
    site = make_site()
    folder = add_rollup(site)
    (folder / "own.sql").write_text(COUNTED.replace("counted", "own").replace("tallymill.day_events", "helper, tallymill.day_events"))
    site.database.run("CREATE TABLE public.helper AS SELECT 1 AS one; GRANT SELECT ON public.helper TO tallymill_aggregate, tallymill_read, tallymill_admin")
    site.settings.write_text(site.settings.read_text().replace(f"dir = {site.folder / 'no-rollups'}", f"dir = {folder}"))
    assert site.tallymill("migrate").code == 0
    assert dict(site.database.rows("SELECT rollup, names FROM tallymill.rollups")) == {
        "counted": "pg_catalog, pg_temp", "own": "pg_catalog, public, pg_temp"}
    site.send(events(100))
    site.drain()
    site.fold()
    assert site.tallymill("verify").code == 0
    assert site.database.value("SELECT sum(events) FROM analytics_daily_counted") == site.database.value("SELECT sum(events) FROM analytics_daily_own")


def test_figures_of_a_rollup_are_compared_as_values(make_site):
    """10 and 10.0 are one number: a run writes neither anew, so a proof must not call it damage."""
    site = make_site()
    folder = add_rollup(site)
    (folder / "counted.sql").write_text(COUNTED.replace("count(*) AS events", "count(*)::numeric AS events"))
    site.settings.write_text(site.settings.read_text().replace(f"dir = {site.folder / 'no-rollups'}", f"dir = {folder}"))
    assert site.tallymill("migrate").code == 0
    site.send(events(100, days=1))
    site.drain()
    site.fold()
    site.database.run("UPDATE analytics_daily_counted SET events = events + 0.0")
    done = site.tallymill("verify")
    assert done.code == 0, done
    site.database.run("UPDATE analytics_daily_counted SET events = events + 0.5")
    assert site.tallymill("verify").code == 1


def as_worker(site):
    """A connection that has tallymill_ingest and nothing else."""
    login = f"ingest_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {login} LOGIN; GRANT tallymill_ingest TO {login}")
    connection = psycopg2.connect(extensions.make_dsn(site.database.dsn, user=login))
    connection.autocommit = True
    return connection


def refused(cursor, statement, *parameters):
    with pytest.raises(psycopg2.Error) as why:
        cursor.execute(statement, parameters)
    return why.value.pgcode


def test_a_worker_with_its_role_alone_stores_events_beside_somebody_s_trigger(make_site):
    """Where one fires on INSERT the worker asks for its rows again: by a function, since its role may not read them."""
    site = make_site(partitions=1, migrate=True)
    login = f"ingest_{site.topic.replace('-', '_')}"
    site.database.run(f"""CREATE ROLE {login} LOGIN; GRANT tallymill_ingest TO {login};
        CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('stored', ''); RETURN NULL; END $$;
        CREATE TRIGGER tell AFTER INSERT ON analytics_events FOR EACH STATEMENT EXECUTE FUNCTION public.tell();
        CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.batch_id := NULL; RETURN NEW; END $$;
        CREATE TRIGGER change BEFORE INSERT ON analytics_events FOR EACH ROW WHEN (NEW.session_id = 'marked') EXECUTE FUNCTION public.change()""")
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=login))
    made = list(events(100))
    for sent in (made, [*made[:10], *events(20, seed=2)]):    # by COPY, then by INSERT
        site.send(sent)
        site.drain()
    assert site.outcomes()[:3] == (120, 10, 0)
    site.send([*events(20, seed=3), event(session_id="marked")])
    site.drain()
    assert (site.outcomes()[:3], site.reasons()) == ((140, 10, 1), {"refused": 1})


def test_a_delta_is_written_once_and_by_nobody_but_its_batch(make_site):
    site = make_site(partitions=1)
    site.send(events(200))
    site.drain()
    before = site.database.rows("SELECT batch_id, delta FROM tallymill.deltas ORDER BY 1")
    assert before
    with as_worker(site).cursor() as cursor:
        for batch_id, _ in before:
            assert refused(cursor, "SELECT tallymill.add_delta(%s, 'x')", batch_id) in ("TM004", "55000")
        cursor.execute("SELECT nextval('tallymill.batch_ids')")
        ours = cursor.fetchone()[0]
        for number in (before[-1][0], ours - 1, ours + 1, ours + 1000):
            assert refused(cursor, "SELECT tallymill.add_delta(%s, 'x')", number) == "TM004"
        cursor.execute("SELECT tallymill.add_delta(%s, 'mine')", (ours,))
        assert refused(cursor, "SELECT tallymill.add_delta(%s, 'another')", ours) == "TM004"
    assert site.database.rows("SELECT batch_id, delta FROM tallymill.deltas WHERE batch_id < %s ORDER BY 1", ours) == before
    site.fold()
    site.assert_holds()


def test_once_a_batch_is_committed_no_session_holds_its_id(site):
    """Behind a pooler another client gets the worker's server session: the id must not be the last one that it drew."""
    site.send(events(100))
    site.drain()
    assert site.database.value("SELECT (SELECT last_value FROM tallymill.batch_ids) > max(batch_id) FROM tallymill.batches")


def test_a_worker_s_login_enters_so_many_topics_and_topic_partitions_and_no_more(make_site):
    site = make_site(migrate=True)
    with as_worker(site).cursor() as cursor:
        claim = "SELECT count(*) FROM tallymill.claim(%s, 'cluster', 'group', 'owner', %s::integer[])"
        for number in range(64):
            cursor.execute(claim, (f"topic-{number}", [0]))
        assert refused(cursor, claim, "topic-64", [0]) == "TM004"
        cursor.execute(claim, ("topic-63", [0, 9999]))
        assert refused(cursor, claim, "topic-63", [10000]) == "TM004"
        site.database.run("INSERT INTO tallymill.clusters (topic, cluster_id, consumer_group) VALUES ('topic-64', 'cluster', 'group')")
        cursor.execute(claim, ("topic-64", [1, 2]))


def test_the_list_of_rights_is_that_of_a_new_database(site):
    """What --check asks for (schemas/rights.tsv), against what the migrations grant."""
    listed = [line.split("\t") for line in (ROOT / "schemas" / "rights.tsv").read_text().splitlines() if not line.startswith("#")]
    listed = sorted((line + [""])[:5] for line in listed if line[0] != "tallymill_admin")
    made = sorted(list(row) for row in site.database.rows(pathlib.Path(__file__).with_name("rights.sql").read_text()))
    assert ([line for line in listed if line not in made], [line for line in made if line not in listed]) == ([], [])
