"""An application with its own analytics_events, as the plan's migrations 046 and 050 make it: the table, what stands on it, and a writer that goes on while it is taken over.

The writer keeps a record of what was acknowledged to it, and says which of that is not as it left it; and how long its slowest statement took.
"""

import contextlib
import random
import threading
import time

import psycopg2
from psycopg2 import errors, extensions

SCHEMA = """
    CREATE TABLE users (id SERIAL PRIMARY KEY, email TEXT NOT NULL);
    INSERT INTO users (email) SELECT n || '@example.org' FROM generate_series(1, USERS) n;
    CREATE TABLE analytics_events (
      id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
      event_name VARCHAR(100) NOT NULL,
      event_category VARCHAR(50) NOT NULL,
      session_id VARCHAR(64),
      user_id INTEGER REFERENCES users(id) ON DELETE SET NULL,
      ip_address INET,
      event_data JSONB NOT NULL DEFAULT '{}',
      is_internal BOOLEAN NOT NULL DEFAULT FALSE,
      created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
      CONSTRAINT analytics_events_category_check CHECK (event_category IN ('workflow', 'business', 'usage', 'system')));
    CREATE INDEX idx_analytics_events_name_created ON analytics_events (event_name, created_at DESC);
    CREATE INDEX idx_analytics_events_category_created ON analytics_events (event_category, created_at DESC);
    CREATE INDEX idx_analytics_events_external ON analytics_events (created_at DESC) WHERE is_internal = FALSE;
    CREATE INDEX idx_analytics_events_user ON analytics_events (user_id, created_at DESC) WHERE user_id IS NOT NULL;
    CREATE INDEX idx_analytics_events_session ON analytics_events (session_id, created_at) WHERE session_id IS NOT NULL;
    CREATE INDEX of_the_application ON analytics_events ((event_data ->> 'action'));
    COMMENT ON TABLE analytics_events IS 'Events of the product';
    COMMENT ON COLUMN analytics_events.ip_address IS 'Where from; it''s personal';
    CREATE VIEW external_events AS SELECT id, event_name, user_id, created_at FROM analytics_events WHERE is_internal = FALSE;
    COMMENT ON VIEW external_events IS 'Without our own';
    CREATE VIEW external_by_name WITH (security_barrier) AS SELECT event_name, count(*) AS events FROM external_events GROUP BY event_name"""
ROWS = """
    INSERT INTO analytics_events (event_name, event_category, session_id, user_id, ip_address, event_data, is_internal, created_at)
    SELECT (ARRAY['login', 'doc_generation', 'code_input', 'error'])[1 + n % 4], (ARRAY['business', 'usage', 'workflow', 'system'])[1 + n % 4], 's' || n / 7,
           CASE WHEN n % 3 > 0 THEN 1 + n % USERS END, ('10.0.' || n % 250 || '.1')::inet, jsonb_build_object('action', 'a' || n % 9, 'n', n, 'text', repeat('x', 60)), n % 11 = 0,
           date_trunc('minute', now()) - (n % 250) * interval '1 day' - (n % 1440) * interval '1 minute'
    FROM generate_series(1, ROWS) n"""
INSERT = """INSERT INTO analytics_events (event_name, event_category, session_id, user_id, ip_address, event_data, is_internal, created_at)
            VALUES ('login', 'business', %s, %s, '192.0.2.1', '{"action": "live"}', false, now() - %s * interval '1 hour') RETURNING id, created_at"""


class Application:
    """The application's own login owns the table; `reader` may only read the view and two columns."""

    def __init__(self, site, rows):
        self.site = site
        self.users = max(500, rows // 50)    # each of them deleted is so many changes to log
        self.owner, self.reader = (f"{name}_{site.topic.replace('-', '_')}" for name in ("app", "reader"))
        site.database.run(f"CREATE ROLE {self.owner} LOGIN; CREATE ROLE {self.reader} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {self.owner}")
        self.dsn = extensions.make_dsn(site.database.dsn, user=self.owner)
        with self.connect() as cursor:
            cursor.execute(SCHEMA.replace("USERS", str(self.users)))
            cursor.execute(f"GRANT SELECT ON external_by_name TO {self.reader}; GRANT SELECT (id, created_at) ON analytics_events TO {self.reader}")
            cursor.execute(ROWS.replace("ROWS", str(rows)).replace("USERS", str(self.users)))
        site.database.run("ANALYZE analytics_events")

    @contextlib.contextmanager
    def connect(self, dsn=None):
        connection = psycopg2.connect(dsn or self.dsn)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def close(self):
        """The roles, which belong to the server."""
        self.site.database.run(f"DROP OWNED BY {self.owner}, {self.reader} CASCADE; DROP ROLE {self.owner}, {self.reader}")


class Writer:
    """Inserts, marks sessions as internal, deletes events and users, up to 300 times a second."""

    def __init__(self, application, seed):
        self.application = application
        self.random = random.Random(seed)
        self.known = {}  # id: is_internal, as acknowledged
        self.gone = set()
        self.users_gone = set()
        self.failed = []
        self._slowest = (0.0, "")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self):
        try:
            with self.application.connect() as cursor:
                while not self._stopping.wait(0.003):
                    with contextlib.suppress(errors.DeadlockDetected):
                        self._step(cursor)
        except Exception as why:  # noqa: BLE001 (told by the test)
            self.failed.append(why)

    def slowest(self):
        """The slowest statement since this was last asked, as text."""
        (took, statement), self._slowest = self._slowest, (0.0, "")
        return f"{took * 1000:.0f} ms ({statement})"

    def _execute(self, cursor, statement, values):
        began = time.monotonic()
        cursor.execute(statement, values)
        self._slowest = max(self._slowest, (time.monotonic() - began, " ".join(statement.split()[:3])))

    def _step(self, cursor):
        kind = self.random.random()
        if kind < 0.7 or not self.known:
            user = self.random.randrange(1, self.application.users)
            self._execute(cursor, "SELECT count(*) FROM users WHERE id = %s", (user,))
            user = user if cursor.fetchone()[0] else None
            self._execute(cursor, INSERT, (f"live-{self.random.randrange(1000)}", user, self.random.randrange(0, 5000)))
            self.known[cursor.fetchone()[0]] = False
        elif kind < 0.9:
            event = self.random.choice(list(self.known))
            self._execute(cursor, "UPDATE analytics_events SET is_internal = TRUE WHERE id = %s", (event,))
            self.known[event] = True
        elif kind < 0.97:
            event = self.random.choice(list(self.known))
            self._execute(cursor, "DELETE FROM analytics_events WHERE id = %s", (event,))
            del self.known[event]
            self.gone.add(event)
        else:
            user = self.random.randrange(1, self.application.users)
            self._execute(cursor, "DELETE FROM users WHERE id = %s", (user,))
            self.users_gone.add(user)

    def assert_kept(self):
        """Every acknowledged event is there once, as it was left; none that was deleted is."""
        assert not self.failed, self.failed
        stored = dict(self.application.site.database.rows("SELECT id::text, is_internal FROM analytics_events WHERE event_data ->> 'action' = 'live'"))
        assert stored == self.known
        assert not self.gone & stored.keys()
