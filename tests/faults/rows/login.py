"""Row 47: the password of the services' login and the server's certificate, rotated under running programs.

The password stands in a file that libpq reads at every connection (`passfile`). It is changed in the
database first, and in the file a while later: until then every connection is refused, and the services must wait it out.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

from psycopg2 import extensions

from faults.registry import row
from integration.harness.postgres_server import PostgresServer, with_postgres
from integration.harness.waiting import wait_until

LOGIN = "tallymill_services"
RULES = f"""
hostssl all {LOGIN} 127.0.0.1/32 scram-sha-256
host    all postgres 127.0.0.1/32 trust
"""
ENDED = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{LOGIN}'"


class Authority:
    """Certificates for 127.0.0.1, all of one authority, whose own is at `root`."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-authority-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
        self.root = self.folder / "root.crt"
        self.made = 0

    def __enter__(self):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=authority",
                      "-keyout", "root.key", "-out", "root.crt")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def issue(self, server):
        """A new key and certificate, where the server reads them when it starts or is asked to reload."""
        self.made += 1
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN=server {self.made}",
                      "-keyout", "server.key", "-out", "server.csr")
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "root.crt", "-CAkey", "root.key", "-set_serial", str(self.made), "-days", "2",
                      "-extfile", "names", "-out", "server.crt")
        for name in ("server.key", "server.crt"):
            server.write(name, (self.folder / name).read_text())


class Password:
    """The login's password: in the database, and in the file that the programs name."""

    def __init__(self, round, server):
        self.round, self.server = round, server
        self.file = round.folder / "passfile"
        self.number = 0
        self.change()
        self.write()

    def change(self):
        self.number += 1
        self.server.database().run(f"ALTER ROLE {LOGIN} PASSWORD '{self._text()}'")

    def write(self):
        scratch = self.file.with_suffix(".new")
        scratch.write_text(f"*:*:*:{LOGIN}:{self._text()}\n")
        scratch.chmod(0o600)
        os.replace(scratch, self.file)

    def _text(self):
        return f"secret-{self.round.seed}-{self.number}"


def rotate_password(round, server, password):
    """Refused for longer than five tries take, then let in."""
    password.change()
    server.value(ENDED)
    refused = _refusals(round)
    wait_until(lambda: _refusals(round) >= refused + 12, round.patience(), "the services to be refused several times each")
    round.struck("the password is changed, the services are refused")
    round.let_flow(0, 4)
    password.write()
    round.struck("the new password is in the file", faults=0)


def rotate_certificate(round, server, authority):
    authority.issue(server)
    server.reload()
    server.value(ENDED)
    round.struck("the server has another certificate, and its connections are ended")


def _refusals(round):
    return sum(program.log().count("password authentication failed") for program in round.site.programs)


@row(47, "password and certificate rotated", want=40, faults=4, limit=15, needs=(("openssl", "openssl"),))
def rotated(round):
    authority = round.enter(Authority())
    server = round.enter(PostgresServer(round.stack, password_encryption="scram-sha-256"))
    authority.issue(server)
    server.database().run("ALTER SYSTEM SET ssl = on")
    server.write("pg_hba.conf", RULES)
    server.reload()
    site = round.make_site(stack=with_postgres(round.stack, server.dsn), partitions=4, **{"log.level": "debug"})  # each refusal is a line
    site.log_in_as(LOGIN)
    password = Password(round, server)
    site.connect_programs_by(extensions.make_dsn(site.database.dsn, user=LOGIN, passfile=str(password.file), sslmode="verify-full",
                                                 sslrootcert=str(authority.root)))
    round.start(workers=2, aggregators=1)
    # Who starts with a wrong password ends with 2, as with any wrong setting; the promise is for who was connected before.
    wait_until(lambda: all("connected to Postgres" in program.log() for program in site.programs), 60, "every program to be connected")
    with round.flow(rate=300):
        for number in range(round.count):
            round.recovered()
            if number % 2 == 0:
                rotate_password(round, server, password)
            else:
                rotate_certificate(round, server, authority)
            round.recovered()
            round.counted()
