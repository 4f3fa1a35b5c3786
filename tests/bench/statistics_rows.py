"""Rows for the bench of the statistics, written by SQL the way a worker commits them: rows, delta, then ledger, in one transaction.

The history fills the 28 days before today; today begins with the same number of rows at every size, so that what a cycle costs at
two sizes differs by the history alone. A row takes about 330 bytes; a session has about eight events, some of them without a user.
"""

import contextlib
import struct
import uuid

import psycopg2
import xxhash

TOPIC = "bench"
TODAY_ROWS = 50_000
BATCH_ROWS = 5_000
PARTITIONS = 8

# %(first)s to %(last)s number the rows; `at` is their time.
ROWS = """
INSERT INTO analytics_events (id, event_name, event_category, session_id, user_id, event_data, is_internal, created_at, batch_id)
SELECT gen_random_uuid(),
       (ARRAY['session_start', 'code_input', 'doc_generation', 'doc_export', 'performance', 'page_view', 'login', 'error'])[1 + g %% 8],
       'usage', s.id, CASE WHEN g %% 10 < 6 THEN hashint8(g / 8) & 1048575 END,
       jsonb_build_object('origin', 'main', 'language', 'javascript', 'padding', repeat('x', 90), 'number', g), g %% 50 = 0, {at},
       {batch}
FROM generate_series(%(first)s::bigint, %(last)s::bigint) g
CROSS JOIN LATERAL (SELECT md5((g / 8)::text) AS hash) h
CROSS JOIN LATERAL (SELECT concat_ws('-', left(hash, 8), substr(hash, 9, 4), substr(hash, 13, 4), substr(hash, 17, 4), right(hash, 12)) AS id) s
"""
HISTORY_TIME = "current_date - 28 + (g - 1) * (interval '28 days' / %(rows)s)"
NOW_TIME = "now() - (g %% 100) * interval '1 ms'"
LEDGER = """
INSERT INTO tallymill.batches (batch_id, last_batch_id, topic, topic_partition, first_offset, next_offset, stored, duplicates, dead_letters, skipped, days)
SELECT b, b, %(topic)s, 0, n * %(size)s, (n + 1) * %(size)s, %(size)s, 0, 0, 0,
       (SELECT array_agg(DISTINCT (created_at AT TIME ZONE 'UTC')::date) FROM analytics_events WHERE batch_id = b AND created_at >= current_date - 29)
FROM (SELECT n, n + %(first_batch)s AS b FROM generate_series(0, %(count)s - 1) n) x
"""


RETURNING = " RETURNING event_name, session_id, user_id, is_internal, (created_at AT TIME ZONE 'UTC')::date - date '1970-01-01'"


def delta_of(rows):
    """The bytes that a worker leaves beside such rows (common/delta.h); their sessions are all canonical UUIDs."""
    names, days, entries = {}, {}, []
    for name, session, user, is_internal, day in rows:
        if is_internal:
            continue
        is_new_name, is_new_day = name not in names, day not in days
        entries.append(bytes([is_new_name | is_new_day << 1 | (session is not None) << 2 | (user is not None) << 4, names.setdefault(name, len(names))])
                       + (bytes([len(name)]) + name.encode("latin-1") if is_new_name else b"")
                       + bytes([days.setdefault(day, len(days))]) + (struct.pack(">i", day) if is_new_day else b"")
                       + (uuid.UUID(session).bytes if session else b"") + (struct.pack(">q", user) if user is not None else b""))
    made = struct.pack(">BII", 1, len(rows), len(entries)) + b"".join(entries)
    return made + xxhash.xxh3_64_digest(made)


class Writer:
    """One worker: claims, then commits batches of so many rows into one topic partition after the other."""

    def __init__(self, dsn):
        self.leaves_deltas = True
        self.connection = psycopg2.connect(dsn, options="-c TimeZone=UTC -c synchronous_commit=on")
        self.cursor = self.connection.cursor()
        self.cursor.execute("SELECT topic_partition, epoch, next_offset FROM tallymill.claim(%s, 'bench', 'bench', 'bench', %s)",
                            (TOPIC, list(range(PARTITIONS))))
        self.places = {number: [epoch, offset] for number, epoch, offset in self.cursor.fetchall()}
        self.connection.commit()
        self.number = 10**9      # of the next row, beyond every number of the history
        self.turn = 0

    def batch(self, rows):
        """Commits a batch of rows of this moment."""
        self.cursor.execute("SELECT nextval('tallymill.batch_ids')")
        batch = self.cursor.fetchone()[0]
        self.cursor.execute(ROWS.format(at=NOW_TIME, batch=batch) + RETURNING, {"first": self.number, "last": self.number + rows - 1})
        if self.leaves_deltas:
            self.cursor.execute("SELECT tallymill.add_delta(%s, %s)", (batch, delta_of(self.cursor.fetchall())))
        self.number += rows
        place = self.turn % PARTITIONS
        self.turn += 1
        epoch, offset = self.places[place]
        self.cursor.execute(
            "SELECT tallymill.commit_batch(%s, %s, %s, %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], '{0}', '{0}', '{0}',"
            " ARRAY[(SELECT array_agg(DISTINCT (created_at AT TIME ZONE 'UTC')::date)::text FROM (VALUES (now()), (now() - interval '99 ms')) t (created_at))],"
            " '{0}', '{x}')",
            (batch, TOPIC, [place], [epoch], [offset], [offset + rows], [rows]))
        self.connection.commit()
        self.places[place][1] += rows


def fill(dsn, rows, say):
    """An empty schema gets its history and today's first rows; then what autovacuum would have done long ago."""
    with contextlib.closing(psycopg2.connect(dsn, options="-c TimeZone=UTC")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SELECT count(tallymill.make_month((current_date - d)::date)) FROM generate_series(0, 28) d")
        cursor.execute("INSERT INTO tallymill.owners (topic, topic_partition) SELECT %s, generate_series(0, %s) ON CONFLICT DO NOTHING",
                       (TOPIC, PARTITIONS - 1))
        count = max(rows // BATCH_ROWS, 1)
        cursor.execute("SELECT setval('tallymill.batch_ids', %s)", (count + 1,))
        step = 200_000
        for first in range(1, rows + 1, step):
            cursor.execute(ROWS.format(at=HISTORY_TIME, batch=f"(g - 1) / {BATCH_ROWS} + 1"),
                           {"first": first, "last": min(first + step - 1, rows), "rows": rows})
            if first // step % 10 == 0:
                say(f"  {first + step - 1:,} rows written")
        cursor.execute("VACUUM (ANALYZE) analytics_events")
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(LEDGER, {"topic": TOPIC, "size": BATCH_ROWS, "first_batch": 1, "count": count})
        cursor.execute("VACUUM (ANALYZE) tallymill.batches")
    writer = Writer(dsn)
    for _ in range(TODAY_ROWS // BATCH_ROWS):
        writer.batch(BATCH_ROWS)
    return writer
