"""Whether analytics_daily_uniques is the table that counting every event anew would give.

Written apart from the program: one query with window functions over the raw events, in the snapshot that the rows are read in.
"""

import textwrap

# A few subjects over the names that the random runs send; the last is about what an event holds.
SUBJECTS = textwrap.dedent("""\
    -- subject: *
    true
    -- subject: login
    event_name = 'login'
    -- subject: page_view
    event_name = 'page_view'
    -- subject: said
    event_name <> 'login' AND event_data <> '{}'
    """)

CONDITIONS = "SELECT subject, condition FROM tallymill.unique_subjects WHERE retired_at IS NULL ORDER BY bit"

# The days whose uniques claim to be of their events as they are; the others are in nobody's way: a key's day before is looked for in all days that are stored or claimed.
CLAIMED = "SELECT day FROM tallymill.unique_days WHERE NOT is_stale AND NOT is_dirty"

ANEW = """
    WITH waiting AS (
      SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
      WHERE b.next_offset > coalesce(f.next_offset, 0)),
    events AS (
      SELECT (e.created_at AT TIME ZONE 'UTC')::date AS date, e.* FROM {events} e
      WHERE NOT EXISTS (SELECT FROM waiting w WHERE e.batch_id BETWEEN w.batch_id AND w.last_batch_id)),
    keys AS (
      SELECT DISTINCT s.subject, k.kind, p.population, e.date, k.key
      FROM events e
      CROSS JOIN LATERAL (VALUES {subjects}) AS s (subject, is_of)
      CROSS JOIN LATERAL (VALUES ('session', e.session_id::text), ('user', e.user_id::text)) AS k (kind, key)
      CROSS JOIN LATERAL (VALUES ('external', NOT e.is_internal), ('internal', e.is_internal), ('all', true)) AS p (population, is_in)
      WHERE s.is_of AND p.is_in AND k.key IS NOT NULL),
    anew AS (
      SELECT subject, kind, population, date, CASE WHEN previous >= {kept} THEN previous WHEN previous IS NULL OR kind = 'session' OR subject <> '*' THEN '-infinity' ELSE '0001-01-01' END AS previous_date,
             count(*) AS keys
      FROM (SELECT *, lag(date) OVER (PARTITION BY subject, kind, population, key ORDER BY date) AS previous FROM keys) k
      WHERE date >= {kept} GROUP BY 1, 2, 3, 4, 5)
    SELECT subject, kind, population, date::text, previous_date::text, h.keys, a.keys
    FROM anew a FULL JOIN (SELECT * FROM analytics_daily_uniques WHERE date >= {kept}) h USING (subject, kind, population, date, previous_date)
    WHERE h.keys IS DISTINCT FROM a.keys
    ORDER BY 1, 2, 3, 4, 5"""


def _subjects(rows):
    return ", ".join("('{}', ({}\n))".format(subject.replace("'", "''"), condition) for subject, condition in rows)


def all_differences(site, events="analytics_events", kept="-infinity"):
    """Every row that is not as counted anew; all days must be up to date: none is stale. events: another table that has them all, those of months that left, too. kept: the first day
    whose keys are kept, where that is known: users who were there before it are not new."""
    stale = site.database.rows("SELECT day::text, error FROM tallymill.unique_days WHERE is_stale")
    subjects = _subjects(site.database.rows(CONDITIONS))
    anew = ANEW.replace("{subjects}", subjects).replace("{events}", events).replace("{kept}", f"date '{kept}'")
    return [("stale", *day) for day in stale] + site.database.rows(anew)


def day_differences(site):
    """In one snapshot: the distinct keys of each day that claims to be up to date, against the events."""
    with site.database.session() as connection, connection.cursor() as cursor:
        cursor.execute(CONDITIONS)
        subjects = _subjects(cursor.fetchall())
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(f"""
            WITH raw AS (
              SELECT s.subject, (e.created_at AT TIME ZONE 'UTC')::date AS date, count(DISTINCT e.session_id) FILTER (WHERE NOT e.is_internal) AS external,
                     count(DISTINCT e.session_id) FILTER (WHERE e.is_internal) AS internal, count(DISTINCT e.session_id) AS both
              FROM analytics_events e CROSS JOIN LATERAL (VALUES {subjects}) AS s (subject, is_of)
              WHERE s.is_of AND (e.batch_id IS NULL OR e.batch_id NOT IN (SELECT tallymill.unfolded_batches())) GROUP BY 1, 2),
            sums AS (SELECT subject, date, sum(keys) FILTER (WHERE population = 'external') AS external, sum(keys) FILTER (WHERE population = 'internal') AS internal,
                            sum(keys) FILTER (WHERE population = 'all') AS both
                     FROM analytics_daily_uniques WHERE kind = 'session' GROUP BY 1, 2)
            SELECT date::text, subject, coalesce(r.external, 0), coalesce(r.internal, 0), coalesce(r.both, 0), coalesce(s.external, 0), coalesce(s.internal, 0), coalesce(s.both, 0)
            FROM raw r FULL JOIN sums s USING (subject, date) JOIN ({CLAIMED}) c ON c.day = date
            WHERE (coalesce(r.external, 0), coalesce(r.internal, 0), coalesce(r.both, 0)) IS DISTINCT FROM (coalesce(s.external, 0), coalesce(s.internal, 0), coalesce(s.both, 0))""")
        return cursor.fetchall()
