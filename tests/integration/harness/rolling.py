"""A rollup of the tests, and the day before yesterday, which it counts."""

import datetime

from .waiting import wait_until

TODAY = datetime.datetime.now(datetime.timezone.utc).date()
DAY = TODAY - datetime.timedelta(days=2)
DAY_US = int(datetime.datetime(DAY.year, DAY.month, DAY.day, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000

COUNTED = """-- One row a day: how many events it had.
-- target: analytics_daily_counted
-- key: date
-- cadence: 1 s
SELECT count(*) AS events FROM tallymill.day_events;
"""


def counted_as(name, what="count(*) AS events"):
    return COUNTED.replace("counted", name).replace("count(*) AS events", what)


def directory(tmp_path, **files):
    folder = tmp_path / "rollups"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def one_day(site, table, columns, where="true"):
    return site.database.rows(f"SELECT {columns} FROM {table} WHERE date = %s AND {where} ORDER BY 1", DAY)


def failing_sql(name, sqlstate):
    """A function that an operator's query may use and that fails, once told so, as a foreign table, a full disk or a time-out would."""
    return f"""CREATE FUNCTION public.{name}(n bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
        BEGIN IF to_regclass('public.broken') IS NOT NULL THEN RAISE EXCEPTION 'gone' USING ERRCODE = '{sqlstate}'; END IF; RETURN n; END $$;"""


def wait_for_count(site, expected):
    def count():
        rows = site.database.rows("SELECT events FROM analytics_daily_counted WHERE date = %s", DAY)
        return rows[0][0] if rows else None
    wait_until(lambda: count() == expected, 60, lambda: f"the rollup to count {expected}; it has {count()}")
