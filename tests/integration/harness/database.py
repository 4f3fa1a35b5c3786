"""Asking Postgres from a test: short statements, each on a connection of its own or on one kept open."""

import contextlib
import pathlib
import re

import psycopg2
from psycopg2 import extensions

from .waiting import forget, kept

_A_LOGIN = re.compile(r"(CREATE (?:ROLE|USER) [^;]*?\bLOGIN\b)(?![^;]*\bPASSWORD\b)")


class Database:
    """One database by its connection string; every session in UTC, as the dashboards' are."""

    def __init__(self, dsn):
        self.dsn = dsn

    def _connect(self, options=""):
        connection = psycopg2.connect(self.dsn, connect_timeout=10, options="-c TimeZone=UTC" + options)
        connection.autocommit = True
        return connection

    @contextlib.contextmanager
    def session(self):
        """A connection in autocommit, closed at the end of the block."""
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, statement, *parameters):
        """All rows of a statement, as tuples. What a wait asks for again and again comes by one connection, since one of its own costs more than most answers."""
        connection = kept(self.dsn, lambda: self._connect(" -c statement_timeout=60s"))
        if connection is not None:
            try:
                return self._rows(connection, statement, parameters)
            except psycopg2.Error as why:
                forget(self.dsn)
                if not isinstance(why, psycopg2.OperationalError):
                    raise
        with self.session() as own:  # of no wait, or the kept one has broken
            return self._rows(own, statement, parameters)

    @staticmethod
    def _rows(connection, statement, parameters):
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement, *parameters):
        """The first column of the only row."""
        (row,) = self.rows(statement, *parameters)
        return row[0]

    def run(self, script):
        """A script of statements without parameters, as psql -f would run it. Where our own password comes from a file (a secured stack), the logins that it
        makes without one have the same: then that file lets them in too."""
        kept = extensions.parse_dsn(self.dsn).get("passfile")
        if kept:
            password = pathlib.Path(kept).read_text().strip().rsplit(":", 1)[1]
            script = _A_LOGIN.sub(rf"\1 PASSWORD '{password}'", script)
        with self.session() as connection, connection.cursor() as cursor:
            cursor.execute(script)

    def copy_out(self, statement, file):
        """COPY ... TO STDOUT into a file."""
        with self.session() as connection, connection.cursor() as cursor:
            cursor.copy_expert(statement, file)
