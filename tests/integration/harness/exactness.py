"""Whether the daily statistics equal the raw query, in one snapshot, over the batches at or below `folded`.

A day that waits for a rebuild is set aside, and one whose month is not attached.  Written apart from the checker's own comparison, which
also wants Kafka: this one is asked every second.
"""

DIFFERENCES = """
    WITH waiting AS (
      SELECT b.batch_id, b.last_batch_id FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
      WHERE b.next_offset > coalesce(f.next_offset, 0)),
    raw AS (
      SELECT (e.created_at AT TIME ZONE 'UTC')::date AS date, e.event_name, count(*) AS events,
             count(DISTINCT e.session_id) AS sessions, count(DISTINCT e.user_id) AS users
      FROM analytics_events e
      WHERE NOT e.is_internal AND NOT EXISTS (SELECT FROM waiting w WHERE e.batch_id BETWEEN w.batch_id AND w.last_batch_id)
      GROUP BY 1, 2)
    SELECT date, event_name, r.events, r.sessions, r.users, s.event_count, s.unique_sessions, s.unique_users
    FROM raw r FULL JOIN analytics_daily_stats s USING (date, event_name)
    WHERE (r.events, r.sessions, r.users) IS DISTINCT FROM (s.event_count, s.unique_sessions, s.unique_users)
      AND date NOT IN (SELECT day FROM tallymill.days WHERE dirty_since IS NOT NULL)
      AND NOT EXISTS (SELECT FROM tallymill.months m
                      WHERE m.month = date_trunc('month', date::timestamp)::date AND m.state <> 'open'
                        AND m.month NOT IN (SELECT a.month FROM tallymill.attached_months a))"""

HALF_FOLDED = """
    SELECT b.batch_id FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
    GROUP BY 1 HAVING bool_or(b.next_offset > coalesce(f.next_offset, 0)) AND bool_or(b.next_offset <= coalesce(f.next_offset, 0))"""


def differences(site):
    """What the statistics and the ledger have wrong, in one snapshot."""
    with site.database.session() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(DIFFERENCES)
        wrong = cursor.fetchall()
        cursor.execute(HALF_FOLDED)
        wrong += [("half folded", *batch) for batch in cursor.fetchall()]
        return wrong
