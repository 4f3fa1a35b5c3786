"""The one list of settings that others may have chosen for a database, a login or a pooled connection; nothing that we read or write may depend on them."""

from psycopg2 import extensions

# Each changes how a text is read or written, whose objects are meant, how a transaction runs, or how it is planned.
VALUES = {
    "array_nulls": "off", "backslash_quote": "off", "bytea_output": "escape", "client_min_messages": "debug1",
    "datestyle": "German, DMY", "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
    "escape_string_warning": "off", "exit_on_error": "on", "extra_float_digits": "-10", "intervalstyle": "sql_standard",
    "lc_numeric": "C", "lc_time": "C", "quote_all_identifiers": "on", "search_path": "hostile, public",
    "standard_conforming_strings": "off", "timezone": "Pacific/Kiritimati", "transform_null_equals": "on", "xmlbinary": "hex",
    "enable_indexscan": "off", "enable_partition_pruning": "off", "plan_cache_mode": "force_custom_plan",
}
# How long a statement or a session may last: for the programs' login only, since the tests' own questions take longer.
TIMES = {"statement_timeout": "60ms", "lock_timeout": "1ms", "idle_in_transaction_session_timeout": "40ms", "idle_session_timeout": "300ms"}
NEWER = {"transaction_timeout": "100ms", "restrict_nonsystem_relation_kind": "view"}


def _set(database, whom, settings):
    """Sets those of them that this server knows."""
    known = {name for (name,) in database.rows("SELECT name FROM pg_settings")}
    for setting, value in settings.items():
        if setting in known:
            database.run(f'ALTER {whom} SET {setting} = {value if setting == "search_path" else repr(value)}')


def _name(database):
    return extensions.parse_dsn(database.dsn)["dbname"]


def set_for_database(database, **settings):
    """All of VALUES for whoever connects to the database from now on."""
    _set(database, f'DATABASE "{_name(database)}"', {**VALUES, **settings})


def make_login(database, login, rights, **settings):
    """A login for which all of VALUES are set in this database alone, and more; the connection string that uses it."""
    database.run(f"CREATE ROLE {login} LOGIN {rights}")
    _set(database, f'ROLE {login} IN DATABASE "{_name(database)}"', {**VALUES, **settings})
    return extensions.make_dsn(database.dsn, user=login)


def login_name(site):
    return f"hostile_{site.topic.replace('-', '_')}"
