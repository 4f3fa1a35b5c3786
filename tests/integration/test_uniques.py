"""Uniques of any range of days: worked out by hand, kept when days change in any order, of internal people, and found out when somebody changed them."""

import datetime
import json
import os
import pathlib
import random
import re
import shutil
import sys

import pytest

from .harness.program import ROOT
from .harness.publisher import event
from .harness.uniques import SUBJECTS, all_differences
from .harness.waiting import wait_until

TODAY = datetime.datetime.now(datetime.timezone.utc).date()
SUM = """SELECT coalesce(sum(keys), 0)::int FROM analytics_daily_uniques
         WHERE subject = %s AND kind = %s AND population = %s AND date BETWEEN %s AND %s AND previous_date < %s"""


def at(days_ago, second=0):
    day = TODAY - datetime.timedelta(days=days_ago)
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000 + second * 1_000_000


def seen(days_ago, session, user=None, name="login", internal=False, **data):
    return event(name, at(days_ago), session_id=session, user_id=user, is_internal=internal, event_data=data)


def subjects_file(folder, text=SUBJECTS):
    path = folder / "subjects.sql"
    path.write_text(text)
    return path


def uniques(site, first_ago, last_ago, subject="*", kind="session", population="external"):
    first, last = TODAY - datetime.timedelta(days=first_ago), TODAY - datetime.timedelta(days=last_ago)
    return site.database.rows(SUM, subject, kind, population, first, last, first)[0][0]


def count(site, made):
    site.send(made)
    site.drain()
    site.fold()


def test_ranges_are_what_was_worked_out_by_hand(make_site):
    site = make_site(**{"uniques.subjects": ""})
    count(site, [seen(9, "A", 1), seen(9, "B", 2), seen(7, "A", 1, "signup"), seen(7, "C", 1), seen(5, "B", 3), seen(5, "staff", 9, internal=True), seen(5, "A", 1, internal=True),
                 seen(2, "staff", 9), seen(2, "d" * 200, 2**63 - 1, "doc_generation", success=True), seen(0, "A", 1), seen(0, "E", None, "doc_generation", success=False)])
    assert uniques(site, 9, 0) == 6 and uniques(site, 8, 5) == 3 and uniques(site, 5, 5) == 1 and uniques(site, 4, 0) == 4     # A B C staff d E; A C B; B; staff d A E
    assert uniques(site, 9, 0, kind="user") == 5 and uniques(site, 8, 6, kind="user") == 1                                  # 1 2 3 9 max; 1
    assert uniques(site, 9, 3, population="internal") == 2 and uniques(site, 9, 3, population="all") == 4                   # A staff; A B C staff
    assert uniques(site, 9, 0, "login") == 4 and uniques(site, 9, 0, "signup") == 1 and uniques(site, 9, 0, "category:workflow") == 0
    assert uniques(site, 9, 0, "stage:generation_started") == 2 and uniques(site, 9, 0, "stage:generation_completed") == 1
    assert all_differences(site) == []
    done = site.tallymill("verify", "--strict", "--ranges", "60")
    assert done.code == 0 and "5 of 5 days of uniques equal them, and 60 ranges the raw events" in done.out, done
    # Whoever may read sees the table, and neither keys nor secret.
    for table, is_seen in (("public.analytics_daily_uniques", True), ("tallymill.day_keys", False), ("tallymill.unique_secret", False)):
        assert site.database.rows("SELECT has_table_privilege('tallymill_read', %s, 'SELECT')", table) == [(is_seen,)]


# So many days more of a table that nobody has analyzed yet.
MORE_DAYS = """INSERT INTO analytics_daily_uniques SELECT s.subject, kind, population, date '2020-01-01' + d, date '2020-01-01' + d - b, 1
    FROM tallymill.unique_subjects s, unnest('{session,user}'::text[]) kind, unnest('{external,internal,all}'::text[]) population, generate_series(1, 300) d, generate_series(1, 5) b"""


def test_what_a_day_asks_of_the_table_does_not_grow_with_the_days_that_are_kept(make_site):
    site = make_site(**{"uniques.subjects": ""})
    count(site, [seen(2, "A", 1), seen(1, "A", 1), seen(1, "B", 2)])
    day = (TODAY - datetime.timedelta(days=1) - datetime.date(1970, 1, 1)).days
    asked = {"rows": f"SELECT * FROM tallymill.unique_rows('session', date '1970-01-01' + {day})",
             "add": f"SELECT tallymill.change_uniques('session', '{{0,0,0}}', '{{0,1,2}}', '{{{day},{day},{day}}}', '{{{day - 1},{day - 3},{day - 2}}}', '{{1,2,3}}')",
             "end": f"SELECT tallymill.change_uniques('session', '{{0,0,0}}', '{{0,1,2}}', '{{{day},{day},{day}}}', '{{{day - 1},{day - 3},{day - 2}}}', '{{-1,-2,-3}}')"}
    with site.database.session() as session, session.cursor() as cursor:
        def pages(query):
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
            plan = cursor.fetchone()[0][0]["Plan"]
            return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

        # Plans that are kept are made while the table is small.
        before = [{name: pages(query) for name, query in asked.items()} for _ in range(8)][-1]
        cursor.execute(MORE_DAYS)
        after = {name: pages(query) for name, query in asked.items()}
        cursor.execute("SELECT count(*), pg_relation_size('analytics_daily_uniques') / 8192 FROM analytics_daily_uniques")
        rows, table_pages = cursor.fetchone()
    assert rows > 100_000 and table_pages > 1_000 and all(after[name] < 3 * before[name] + 100 for name in asked), (rows, before, after)


def test_days_that_come_in_any_order_and_change_correct_the_days_behind_them(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(3, "A", 1), seen(3, "B", 2), seen(1, "A", 1), seen(0, "A", 1)])
    assert uniques(site, 2, 0) == 1
    count(site, [seen(20, "A", 1), seen(2, "A", 1), seen(2, "B", 7)])     # an older day, and one between
    assert uniques(site, 20, 0) == 2 and uniques(site, 2, 1) == 2
    assert all_differences(site) == []
    # Rows that go: of the ledger's by hand, as `tallymill rebuild` is asked for, and of another program.
    site.database.rows("DELETE FROM analytics_events WHERE session_id = 'A' AND created_at >= %s AND created_at < %s", TODAY - datetime.timedelta(days=2), TODAY - datetime.timedelta(days=1))
    site.database.rows("INSERT INTO tallymill.days (day, dirty_since, dirty_reason) VALUES (%s, now(), 'asked') ON CONFLICT (day) DO UPDATE SET dirty_since = now()", TODAY - datetime.timedelta(days=2))
    site.database.run("INSERT INTO analytics_events (event_name, session_id, user_id, is_internal, created_at) VALUES ('page_view', 'B', 2, true, now())")
    site.fold()
    assert uniques(site, 2, 1) == 2 and uniques(site, 2, 2) == 1
    assert all_differences(site) == []


def test_a_batch_of_internal_events_alone_is_counted(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(1, "A"), seen(0, "A")])
    count(site, [seen(1, "staff", 9, internal=True)])
    assert uniques(site, 1, 0, population="internal") == 1 and uniques(site, 1, 0, population="all") == 2
    assert all_differences(site) == []


def test_subjects_come_go_and_keep_their_meaning(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(4, "A", said="yes"), seen(4, "B", name="page_view", said="yes"), seen(2, "B", name="page_view"), seen(0, "B", name="page_view", said="no")])
    more = SUBJECTS + "-- Prose.\n-- subject: quoted 'name'\nevent_data ->> 'said' = 'yes' -- and so on\n"
    subjects_file(tmp_path, more)
    assert "1 made, 0 retired" in site.tallymill("migrate").out
    site.fold()
    assert uniques(site, 4, 0, "quoted 'name'") == 2 and all_differences(site) == []
    subjects_file(tmp_path, more.replace("-- Prose.", "-- Other prose,\n-- which changes nothing.").replace("-- subject: login\nevent_name = 'login'\n", ""))
    assert "0 made, 1 retired" in site.tallymill("migrate").out
    site.fold()
    assert uniques(site, 4, 0, "login") == 0 and uniques(site, 4, 0, "quoted 'name'") == 2 and all_differences(site) == []
    for wrong, line, why in ((more.replace("= 'yes'", "= 'no'"), "", "keeps its meaning"), (more.replace("= 'page_view'", "= now()::text"), ":6", "now()"),
                             (more + "-- subject: broken\n  event_name =\n", ":14", "syntax error"), (more + "-- subject: none\n", ":12", "no condition"),
                             ("true\n" + more, ":1", "without a line"), (more + "-- subject: *\nfalse\n", ":12", "twice")):
        subjects_file(tmp_path, wrong)
        refused = site.tallymill("migrate")
        assert refused.code == 2 and f"subjects.sql{line}: " in refused.err and why in refused.err, refused
    site.fold()
    assert all_differences(site) == []


def test_a_condition_that_fails_costs_its_day_and_says_so(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path, SUBJECTS + "-- subject: large\n(event_data ->> 'size')::integer > 3\n")})
    count(site, [seen(4, "A", size="4"), seen(2, "A", size="large"), seen(0, "A", size="5")])
    assert uniques(site, 4, 3, "large") == 1 and uniques(site, 0, 0, "large") == 1 and uniques(site, 2, 2) == 0
    aside = json.loads(site.tallymill("verify", "--json").out)["uniques_set_aside"]
    assert [(one["day"], "invalid input syntax" in one["reason"]) for one in aside] == [(str(TODAY - datetime.timedelta(days=2)), True)]


def test_keys_beyond_their_time_go_and_ranges_within_it_stay(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path), "uniques.keep": "5 days"})
    count(site, [seen(0, "A")])
    keep = ("--set", "uniques.keep=800 days")
    site.send([seen(9, "A"), seen(9, "B"), seen(3, "A"), seen(3, "B"), seen(1, "B"), seen(0, "B")])
    site.drain()
    site.must("tallymill-aggregator", "--once", *keep)
    assert all_differences(site) == [] and uniques(site, 9, 0) == 2
    site.fold()     # with five days
    assert site.database.rows("SELECT min(day) FROM tallymill.day_keys") == [(TODAY - datetime.timedelta(days=3),)]
    assert uniques(site, 3, 0) == 2 and uniques(site, 2, 0) == 2 and uniques(site, 9, 9) == 2
    count(site, [seen(2, "A"), seen(1, "A")])
    assert uniques(site, 2, 1) == 2 and uniques(site, 3, 1) == 2
    site.must("tallymill-aggregator", "--once", *keep)
    assert all_differences(site) == []


def test_what_somebody_changed_is_found_and_counted_anew(make_site, tmp_path):
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(ago, session, ago) for ago in (6, 4, 3, 1, 0) for session in "ABC"])
    day = TODAY - datetime.timedelta(days=3)
    site.database.rows("UPDATE analytics_daily_uniques SET keys = keys + 1 WHERE date = %s AND subject = 'login'", day)
    found = site.tallymill("verify")
    assert found.code == 1 and f"uniques of {day}, login, session, external: keys are 4, should be 3" in found.out, found
    looked = site.tallymill("doctor")
    assert looked.code == 1 and "FINDING figures: the uniques of " in looked.out and "SELECT tallymill.forget_uniques()" in looked.out, looked
    # As if the days behind a day had not been corrected: each day's own sums hold, the ranges do not.
    site.database.rows("UPDATE analytics_daily_uniques SET keys = keys - 1 WHERE date = %s AND subject = 'login'", day)
    site.database.rows("UPDATE analytics_daily_uniques SET previous_date = %s WHERE date = %s AND subject = '*' AND kind = 'session' AND population = 'external'",
                      TODAY - datetime.timedelta(days=6), day)
    found = site.tallymill("verify")
    assert found.code == 1 and "keys seen again are 6, should be at most 3" in found.out, found
    site.database.run("SELECT tallymill.forget_uniques()")
    site.fold()
    assert site.tallymill("verify", "--strict", "--ranges", "20").code == 0 and all_differences(site) == []
    # A row that comes out below zero is never committed.
    site.database.rows("DELETE FROM analytics_daily_uniques WHERE date = %s", day)
    count(site, [seen(4, "D"), seen(3, "E")])
    site.database.rows("INSERT INTO tallymill.days (day, dirty_since, dirty_reason) VALUES (%s, now(), 'asked') ON CONFLICT (day) DO UPDATE SET dirty_since = now()", day)
    site.database.rows("DELETE FROM analytics_events WHERE session_id = 'A' AND created_at >= %s AND created_at < %s", day, day + datetime.timedelta(days=1))
    site.fold()
    assert "forget_uniques" in site.database.rows("SELECT error FROM tallymill.unique_runs WHERE day = %s", day)[0][0]


def test_verify_compares_uniques_of_all_days_it_was_asked_for_beside_rollups(make_site, tmp_path):
    (tmp_path / "rollups").mkdir()
    shutil.copy(ROOT / "schemas/rollups/categories.sql", tmp_path / "rollups")
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path), "rollups.dir": tmp_path / "rollups"})
    count(site, [seen(ago, "A", 1) for ago in (6, 3, 0)])
    site.database.rows("UPDATE analytics_daily_uniques SET keys = keys + 1 WHERE date = %s AND subject = 'login'", TODAY - datetime.timedelta(days=3))
    assert site.tallymill("verify").code == 1 and site.tallymill("verify", f"{TODAY - datetime.timedelta(days=3)}").code == 1
    assert site.tallymill("verify", f"{TODAY}").code == 0


@pytest.mark.skipif("TALLYMILL_UNIQUES_SESSIONS" not in os.environ, reason="by name: TALLYMILL_UNIQUES_SESSIONS=1000000")
def test_memory_holds_where_a_large_day_is_rebuilt_and_then_its_uniques_are_counted(make_site, capsys):
    sessions = int(os.environ["TALLYMILL_UNIQUES_SESSIONS"])
    site = make_site(**{"uniques.subjects": ""})
    count(site, [seen(3, "A", 1), seen(0, "A", 1)])
    day = TODAY - datetime.timedelta(days=2)
    site.database.rows("INSERT INTO analytics_events (event_name, session_id, user_id, created_at) SELECT 'login', gen_random_uuid()::text, n %% 400000, %s::date + interval '1 hour'"
                      " FROM generate_series(1, %s) AS n", day, sessions)
    site.database.rows("INSERT INTO tallymill.days (day, dirty_since, dirty_reason) VALUES (%s, now(), 'asked') ON CONFLICT (day) DO UPDATE SET dirty_since = now()", day)
    aggregator = site.aggregator()
    wait_until(lambda: site.database.value("SELECT EXISTS (SELECT FROM tallymill.unique_runs WHERE day = %s AND is_stored)", day), 900, lambda: f"the day to be counted: {aggregator.log()[-2000:]}")
    peak_kib = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{aggregator.pid}/status").read_text())[1])
    with capsys.disabled():
        print(f" [a day of {sessions} sessions: peak {peak_kib / 1024:.1f} MiB]", file=sys.stderr, flush=True)
    assert aggregator.stop() == 0 and uniques(site, 2, 2) == sessions
    assert peak_kib < 56 << 10


STEPS = ("uniques_keys_read", "uniques_walked_back", "uniques_before_commit")
MARK = """INSERT INTO tallymill.days AS d (day, dirty_since, dirty_reason) SELECT day, clock_timestamp(), 'asked' FROM changed GROUP BY day
          ON CONFLICT (day) DO UPDATE SET dirty_since = coalesce(d.dirty_since, excluded.dirty_since)"""
CHANGES = (
    """WITH changed AS (INSERT INTO analytics_events (event_name, session_id, user_id, is_internal, event_data, created_at)
         SELECT (ARRAY['login', 'page_view', 'said'])[1 + (random() * 2)::int], 's' || n, nullif(n % 5, 0), random() < 0.3, CASE WHEN random() < 0.5 THEN '{"a":1}' ELSE '{}' END::jsonb, now() - (random() * 9)::int * interval '1 day'
         FROM generate_series(1, 12) AS n WHERE random() < 0.5 RETURNING (created_at AT TIME ZONE 'UTC')::date AS day) """ + MARK,
    """WITH changed AS (DELETE FROM analytics_events WHERE random() < 0.2 RETURNING (created_at AT TIME ZONE 'UTC')::date AS day) """ + MARK,
    """WITH changed AS (DELETE FROM analytics_events WHERE session_id = 's' || (1 + random() * 11)::int RETURNING (created_at AT TIME ZONE 'UTC')::date AS day) """ + MARK,
    """WITH changed AS (UPDATE analytics_events SET is_internal = NOT is_internal, session_id = 's' || (1 + random() * 11)::int WHERE random() < 0.2
         RETURNING (created_at AT TIME ZONE 'UTC')::date AS day) """ + MARK,
)


def test_a_newest_day_that_has_not_heard_of_a_day_before_it_is_no_damage(make_site, tmp_path):
    """Between two looks at the newest day its rows say of a key that came to an earlier day meanwhile when it was seen before that."""
    site = make_site(**{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(4, "A", 1), seen(2, "B", 2), seen(0, "A", 1)])
    # As the moment leaves it: A has come to the day between, counted there; the newest day waits for its minute.
    site.database.rows("UPDATE analytics_daily_uniques SET previous_date = %s WHERE date = %s AND subject = '*'", TODAY - datetime.timedelta(days=4), TODAY - datetime.timedelta(days=2))
    assert "keys seen again are 2, should be at most 1" in site.tallymill("verify").out
    site.database.run("UPDATE tallymill.unique_state SET run = run + 1, stored_run = run + 1")
    verified = site.tallymill("verify")
    assert verified.code == 0 and f"uniques of {TODAY}: " in verified.out, verified


def test_random_rounds_with_kills_at_each_step_leave_the_table_that_is_counted_anew(make_site, tmp_path, capsys):
    """TALLYMILL_UNIQUES_ROUNDS=1000 by name; each third round is killed at a step, and goes on."""
    rounds = int(os.environ.get("TALLYMILL_UNIQUES_ROUNDS") or 9)
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    with capsys.disabled():
        print(f" [uniques: seed {seed}, {rounds} rounds]", file=sys.stderr, flush=True)
    source, kills = random.Random(seed), 0
    site = make_site(build="check", **{"uniques.subjects": subjects_file(tmp_path)})
    site.fold()
    site.database.run("SELECT tallymill.make_month(date_trunc('month', (now() AT TIME ZONE 'UTC') - interval '9 days')::date)")  # the first that CHANGES may need
    site.database.run(CHANGES[0])
    for number in range(rounds):
        for _ in range(source.randrange(1, 4)):
            site.database.run(source.choice(CHANGES))
        if number % 3 == 0:
            killed = site.aggregator("--once", failpoint=f"{STEPS[number // 3 % 3]}:exit:{source.randrange(1, 5)}", name="killed")
            kills += killed.wait(60) == 86
        site.fold()
        wrong = all_differences(site)
        assert not wrong, f"round {number}:\n" + "\n".join(map(str, wrong[:20]))
    assert kills > 0
    done = site.tallymill("verify", "--ranges", "50")
    assert done.code == 0, done


def test_a_planted_bug_that_does_not_correct_the_next_day_is_found_by_verify(make_site, tmp_path):
    site = make_site(build="check", **{"uniques.subjects": subjects_file(tmp_path)})
    count(site, [seen(ago, f"s{number}", number) for ago in (8, 3, 1, 0) for number in range(40)])
    site.send([seen(5, f"s{number}", number) for number in range(0, 40, 2)])     # late: of a day between
    site.drain()
    wrong = site.aggregator("--once", bug="next_day_uncorrected")
    assert wrong.wait(60) == 0, wrong.log()[-3000:]
    found = site.tallymill("verify", "--ranges", "200", "--json")
    differences = json.loads(found.out)["differences"]
    assert found.code == 1 and any(one.get("column_name") == "keys" and ".." in one["uniques"] for one in differences), found
