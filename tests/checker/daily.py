"""I4: analytics_daily_stats against the raw query, in the snapshot that the rest of the verdict uses.

The statistics run about a second behind the rows, and `tallymill.folded` says how far they have come.  So the
raw query takes only the rows of batches that lie wholly at or below it, and rows that other programs inserted.
A day that waits for a rebuild makes no promise yet and is set aside, as is a day whose month has left the table.
"""

RAW = """
    SELECT (created_at AT TIME ZONE 'UTC')::date, event_name, count(*), count(DISTINCT session_id), count(DISTINCT user_id)
    FROM analytics_events
    WHERE is_internal = false
      AND (batch_id IS NULL OR NOT batch_id <@ %s::int8multirange)
    GROUP BY 1, 2"""

STATE_OF_BATCHES = """
    SELECT b.batch_id, coalesce(b.last_batch_id, b.batch_id),
           bool_and(f.next_offset IS NOT NULL AND b.next_offset <= f.next_offset),
           bool_or(f.next_offset IS NOT NULL AND b.first_offset < f.next_offset)
    FROM tallymill.batches b LEFT JOIN tallymill.folded f USING (topic, topic_partition)
    GROUP BY 1, 2 ORDER BY 1"""

SET_ASIDE = """
    SELECT day FROM tallymill.days WHERE dirty_since IS NOT NULL"""

# One that is about to leave counts until its table has left.
MONTHS_AWAY = """
    SELECT month FROM tallymill.months WHERE state = 'archived' OR (state = 'detaching' AND NOT EXISTS (
      SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE NOT i.inhdetachpending AND c.relname = 'analytics_events_' || to_char(month, 'YYYY_MM')))"""

# Its rows are elsewhere: whoever rebuilds such a day writes what is left, which is nothing.
REBUILT_AWAY = """
    SELECT d.day, d.rebuilt_at, m.state, m.changed_at FROM tallymill.days d
    JOIN tallymill.months m ON m.month = date_trunc('month', d.day::timestamp)::date
    WHERE m.state = 'archived' AND d.rebuilt_at > m.changed_at ORDER BY 1"""

FIGURES = ("event_count", "unique_sessions", "unique_users")


def check_daily(verdict, books):
    """Adds the damages of I4; several topics fold into one table, so this looks at all of them."""
    unfolded = _unfolded(verdict, books)
    raw = _by_key(books.query(RAW, "{" + ",".join(f"[{first},{last}]" for first, last in unfolded) + "}"))
    held = _by_key(books.query(
        "SELECT date, event_name, event_count, unique_sessions, unique_users FROM analytics_daily_stats"))
    dirty = {day for day, in books.query(SET_ASIDE)}
    away = {month for month, in books.query(MONTHS_AWAY)}
    for key in sorted(raw.keys() | held.keys()):
        day, name = key
        if day not in dirty and day.replace(day=1) not in away:
            _compare(verdict, day, name, raw.get(key), held.get(key))
    for day, rebuilt_at, state, changed_at in books.query(REBUILT_AWAY):
        verdict.damage("I4", "day rebuilt without its month", f"{day}: rebuilt {rebuilt_at}, but its month is {state} since {changed_at}")
    verdict.figures.update({"statistics": len(held), "batches not folded": len(unfolded),
                            "days waiting for a rebuild": len(dirty)})


def _unfolded(verdict, books):
    unfolded = []
    for first, last, wholly, partly in books.query(STATE_OF_BATCHES):
        if not wholly:
            unfolded.append((first, last))
            if partly:
                verdict.damage("I4", "batch half folded", f"batch {first}")
    return unfolded


def _by_key(rows):
    return {(day, name): figures for day, name, *figures in rows}


def _compare(verdict, day, name, raw, held):
    if raw is None:
        verdict.damage("I4", "statistic of nothing", f"{day} {name}: holds {held}, no such rows")
    elif held is None:
        verdict.damage("I4", "statistic missing", f"{day} {name}: raw query gives {raw}")
    else:
        for figure, expected, found in zip(FIGURES, raw, held):
            if expected != found:
                verdict.damage("I4", "statistic wrong", f"{day} {name} {figure}: holds {found}, raw query gives {expected}")
