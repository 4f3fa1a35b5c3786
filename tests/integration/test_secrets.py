"""Where a secret could be seen: nowhere. Every program is given one by every way, and all that others can read of it is searched."""

import pathlib
import subprocess
from urllib.parse import quote

import pytest
from psycopg2 import extensions

from .harness.monitor import Monitor
from .harness.waiting import wait_until

SECRET = "s3cr3t/w%rd@x:y?z"  # what a URI must escape
PIECES = (SECRET, "s3cr3t", quote(SECRET, safe=""))
PROGRAMS = {
    "tallymill-consumer": (["--print-settings"], ["--check"], ["--until-end", "--deadline", "1 s"]),
    "tallymill-aggregator": (["--print-settings"], ["--check"], ["--once"]),
    "tallymill-produce": (["--print-settings"], ["--generate", "1"]),
    "tallymill": (["status"], ["status", "--json"], ["migrate"], ["audit"], ["dlq", "list"]),
}


WHOLE = ("pairs", "URI")  # the ways with which every command is tried; the others with two of each program


def must_be_silent(text, where):
    assert not any(piece in text for piece in PIECES), (where, text[-2000:])


def must_not_show(program, first):
    """The process and its children, as everybody or its own account sees them. `first` has ended by itself when this is false."""
    pids = [program.pid, *map(int, pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split())]
    for pid in pids:
        for name in ("cmdline", "environ", "comm"):
            must_be_silent(pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"), (first, pid, name))
    must_be_silent(subprocess.run(["ps", "axeww"], capture_output=True, check=True, text=True).stdout, "ps")


def ways(site, folder):
    """Name to the lines below [kafka] and the connection string, each with the secret where a file of settings may have it. None of them can log in: that is when
    programs talk most."""
    parts = extensions.parse_dsn(site.database.dsn)
    place = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    plain, uri = extensions.make_dsn(site.database.dsn, password=SECRET), f"postgresql://{parts['user']}:{quote(SECRET, safe='')}@{place}"
    held, passfile, dsn_file = folder / "held", folder / "pgpass", folder / "dsn"
    held.write_text(SECRET + "\n")
    passfile.write_text("*:*:*:*:" + SECRET.replace(":", "\\:") + "\n")
    dsn_file.write_text(plain + "\n")
    for one in (held, passfile, dsn_file):
        one.chmod(0o600)
    sasl = "security.protocol = SASL_PLAINTEXT\nsasl.mechanism = PLAIN\nsasl.username = me\n"
    return {
        "pairs": ("", plain),
        "URI": ("", uri),
        "URI unescaped": ("", f"postgresql://{parts['user']}:{SECRET}@{place}"),
        "URI, password as a value": ("", f"postgresql://{parts['user']}@{place}?password={quote(SECRET, safe='')}&connect_timeout=nine"),
        "pairs, broken": ("", plain + " nonsense=1"),
        "@file": ("", f"@{dsn_file}"),
        "passfile": ("", extensions.make_dsn(site.database.dsn, passfile=str(passfile))),
        "sasl.password": (sasl + f"sasl.password = {SECRET}\n", site.database.dsn),
        "sasl.password of a file": (sasl + f"sasl.password = @{held}\n", site.database.dsn),
        "ssl.key.password": (f"security.protocol = SSL\nssl.key.password = {SECRET}\nssl.key.location = {held}\n", site.database.dsn),
        "ssl.key.pem": (f"security.protocol = SSL\nssl.key.pem = {SECRET}\n", site.database.dsn),
        "oauthbearer": (f"security.protocol = SASL_PLAINTEXT\nsasl.mechanism = OAUTHBEARER\nsasl.oauthbearer.client.secret = {SECRET}\n", site.database.dsn),
        "jaas": (f"sasl.jaas.config = x password=\"{SECRET}\"\n", site.database.dsn),
        "broker list": (f"metadata.broker.list = me:{SECRET}@127.0.0.1:9\n", site.database.dsn),
        "unknown key": (f"no.such.password = {SECRET}\n", site.database.dsn),
    }


def write(site, kafka, dsn):
    site.settings.write_text(f"[kafka]\nbootstrap.servers = {site.stack.kafka['bootstrap.servers']}\n{kafka}[postgres]\ndsn = {dsn}\n"
                             f"[topics]\nevents = {site.topic}\n[consumer]\ngroup = secrets\n[log]\nlevel = debug\n[metrics]\nlisten = 127.0.0.1:0\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_shows_a_secret_in_what_it_says(site, program):
    for name, (kafka, dsn) in ways(site, site.folder).items():
        write(site, kafka, dsn)
        words = PROGRAMS[program] if not kafka or program != "tallymill" else PROGRAMS[program][2:3]
        for one in words if name in WHOLE else words[:2]:
            done = site.run(program, *one, deadline=60)
            must_be_silent(done.out + done.err, (name, program, one))


def test_a_running_service_shows_no_secret_anywhere(site):
    """Postgres trusts whoever comes by this socket, so that the service runs with a password that it does not need."""
    for way in ("pairs", "URI", "@file", "passfile"):
        write(site, *ways(site, site.folder)[way])
        for program in (site.worker(), site.aggregator()):
            monitor = Monitor(program)
            wait_until(lambda one=program: "connected to Postgres" in one.log(), 30, lambda one=program: f"it to connect:\n{one.log()}")
            must_not_show(program, way)
            for path in ("/metrics", "/health", "/"):
                must_be_silent(monitor.get(path)[2], (way, path))
            must_be_silent(site.must("tallymill", "status", "--json").out, (way, "status"))
            assert program.stop() == 0
            must_be_silent(program.log(), (way, "log"))
