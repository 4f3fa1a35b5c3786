"""Row 46: pgbouncer in transaction mode between the services and Postgres, restarted and killed, in a database and for a login whose settings others chose."""

import os
import shutil
import signal
import subprocess

from psycopg2 import extensions

from faults.registry import row
from integration.harness.hostile_settings import NEWER, TIMES, login_name, make_login, set_for_database
from integration.harness.postgres_server import free_port
from integration.harness.program import environment
from integration.harness.stack import psql
from integration.harness.waiting import wait_until

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
server_login_retry = 1
"""
SECURED = """client_tls_sslmode = require
client_tls_key_file = {folder}/postgres.key
client_tls_cert_file = {folder}/postgres.crt
server_tls_sslmode = verify-full
server_tls_ca_file = {folder}/ca.pem
"""


class Pooler:
    """pgbouncer in front of the stack's Postgres, run by its account (it refuses to run as root)."""

    def __init__(self, stack, folder, users=("postgres",)):
        status = os.stat(f"/proc/{stack.pid('postgres')}")
        self.identity = {} if status.st_uid == os.geteuid() else {"user": status.st_uid, "group": status.st_gid, "extra_groups": []}
        self.folder = folder / "pooler"
        self.folder.mkdir()
        os.chown(self.folder, status.st_uid, status.st_gid)
        self.port = free_port()
        server = extensions.parse_dsn(stack.dsn)["port"]
        password, settings = "", SETTINGS
        if stack.is_secure:  # TLS on both sides; clients' passwords are not asked for, the server's are those of all logins that tests make
            settings += SECURED
            password = (stack.state / "secrets" / "pgpass").read_text().strip().rsplit(":", 1)[1]
            for name in ("ca.pem", "postgres.key", "postgres.crt"):
                shutil.copy(stack.state / "secrets" / name, self.folder / name)
                os.chown(self.folder / name, status.st_uid, status.st_gid)
        (self.folder / "users").write_text("".join(f'"{user}" "{password}"\n' for user in users))
        (self.folder / "pgbouncer.ini").write_text(settings.format(server=server, port=self.port, folder=self.folder))
        self.process = None

    def __enter__(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["pgbouncer", self.folder / "pgbouncer.ini"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd="/", env=environment(), **self.identity)
        dsn = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"
        try:
            wait_until(lambda: psql(dsn, "-c", "SELECT 1").code == 0, 30, lambda: f"pgbouncer to answer:\n{(self.folder / 'log').read_text()[-2000:]}")
        except BaseException:  # whoever has not entered is not asked to leave
            self.end(signal.SIGKILL)
            raise
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)

    def end(self, how):
        """SIGINT lets transactions end, SIGTERM does not, SIGKILL asks nobody."""
        self.process.send_signal(how)
        self.process.wait(60)


@row(46, "pgbouncer in transaction mode in between, restarted; hostile settings", want=80, faults=8, limit=30, needs=(("pgbouncer", "pgbouncer"),))
def pooler(round):
    round.folder.chmod(0o755)
    site = round.make_site(partitions=4)
    set_for_database(site.database)
    dsn = make_login(site.database, login_name(site), "IN ROLE tallymill_ingest, tallymill_aggregate", **TIMES, **NEWER)
    between = round.enter(Pooler(round.stack, round.folder, users=("postgres", login_name(site))))
    site.connect_programs_by(extensions.make_dsn(dsn, port=between.port))
    round.start(workers=2, aggregators=2)
    with round.flow(rate=400):
        for _ in range(round.count):
            round.recovered()
            round.let_flow(0.1, 1.5)
            how = round.random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
            between.end(how)
            round.let_flow(0.1, 3)
            between.__enter__()
            round.struck(f"pgbouncer ended by {how.name} and started again")
            round.recovered()
