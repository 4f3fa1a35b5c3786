"""Where a secret could be seen: nowhere. Every program is given one by every way, and all that others can read of it is searched."""

import concurrent.futures
import pathlib
import subprocess
import sys
from urllib.parse import quote

import pytest
from psycopg2 import extensions

from .harness.monitor import Monitor
from .harness.program import Program, run
from .harness.waiting import wait_until

SECRET = 's3cr3t/w%rd@x:y?z"q7QzK'  # what a URI must escape, and what libpq puts around the pieces that it quotes
PIECES = (SECRET, "s3cr3t", "w%rd", "q7QzK", quote(SECRET, safe=""))
PROGRAMS = {
    "tallymill-consumer": (["--print-settings"], ["--check"], ["--until-end", "--deadline", "1 s"]),
    "tallymill-aggregator": (["--print-settings"], ["--check"], ["--once"]),
    "tallymill-produce": (["--print-settings"], ["--generate", "1"]),
    "tallymill": (["status"], ["status", "--json"], ["audit"], ["migrate"], ["dlq", "list"]),
}


WHOLE = ("pairs", "URI")  # the ways with which every command is tried; the others with two of each program
RUNNING = ("pairs", "URI", "@file", "passfile")  # the ways that let a login in
AT_ONCE = 12  # most of them wait until nobody has let them in
SECONDS = 180  # of one command: migrations of one database wait for each other


def must_be_silent(text, where):
    assert not any(piece in text for piece in PIECES), (where, text[-2000:])


def must_not_show(program, first):
    """The process and its children, as everybody or its own account sees them. `first` has ended by itself when this is false."""
    pids = [program.pid, *map(int, pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split())]
    for pid in pids:
        for name in ("cmdline", "environ", "comm"):
            must_be_silent(pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"), (first, pid, name))
    must_be_silent(subprocess.run(["ps", "axeww"], capture_output=True, check=True, text=True).stdout, "ps")


def ways(site, folder, **login):
    """Name to the lines below [kafka] and the connection string, each with the secret where a file of settings may have it. Without a `login` whose password it is none of
    them can log in: that is when programs talk most."""
    dsn = extensions.make_dsn(site.database.dsn, **login)
    parts = extensions.parse_dsn(dsn)
    place = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    plain, uri = extensions.make_dsn(dsn, password=SECRET), f"postgresql://{parts['user']}:{quote(SECRET, safe='')}@{place}"
    held, passfile, dsn_file = folder / "held", folder / "pgpass", folder / "dsn"
    for path, text in ((held, SECRET), (passfile, "*:*:*:*:" + SECRET.replace(":", "\\:")), (dsn_file, plain)):
        fresh = path.with_suffix(".fresh")
        fresh.touch(0o600)
        fresh.write_text(text + "\n")
        fresh.rename(path)  # at once: a program that started before may be reading it
    sasl = "security.protocol = SASL_PLAINTEXT\nsasl.mechanism = PLAIN\nsasl.username = me\n"
    return {
        "pairs": ("", plain),
        "URI": ("", uri),
        "URI unescaped": ("", f"postgresql://{parts['user']}:{SECRET}@{place}"),
        "URI, password as a value": ("", f"postgresql://{parts['user']}@{place}?password={quote(SECRET, safe='')}&connect_timeout=nine"),
        "pairs, broken": ("", plain + " nonsense=1"),
        "@file": ("", f"@{dsn_file}"),
        "passfile": ("", extensions.make_dsn(dsn, passfile=str(passfile))),
        "sasl.password": (sasl + f"sasl.password = {SECRET}\n", site.database.dsn),
        "sasl.password of a file": (sasl + f"sasl.password = @{held}\n", site.database.dsn),
        "ssl.key.password": (f"security.protocol = SSL\nssl.key.password = {SECRET}\nssl.key.location = {held}\n", site.database.dsn),
        "ssl.key.pem": (f"security.protocol = SSL\nssl.key.pem = {SECRET}\n", site.database.dsn),
        "oauthbearer": (f"security.protocol = SASL_PLAINTEXT\nsasl.mechanism = OAUTHBEARER\nsasl.oauthbearer.client.secret = {SECRET}\n", site.database.dsn),
        "jaas": (f"sasl.jaas.config = x password=\"{SECRET}\"\n", site.database.dsn),
        "broker list": (f"metadata.broker.list = me:{SECRET}@127.0.0.1:9\n", site.database.dsn),
        "unknown key": (f"no.such.password = {SECRET}\n", site.database.dsn),
    }


def write(site, name, kafka, dsn):
    """The settings of one way in a file of its own, which the site's programs take from now on."""
    site.settings = site.folder / f"{name}.ini"
    site.settings.write_text(f"[kafka]\nbootstrap.servers = {site.stack.kafka['bootstrap.servers']}\n{kafka}[postgres]\ndsn = {dsn}\n"
                             f"[topics]\nevents = {site.topic}\n[consumer]\ngroup = secrets\n[log]\nlevel = debug\n[metrics]\nlisten = 127.0.0.1:0\n")


def commands_of(site):
    """(program, way, words, command) of all that is tried."""
    for name, (kafka, dsn) in ways(site, site.folder).items():
        write(site, name, kafka, dsn)
        for program, words in PROGRAMS.items():
            tried = words if not kafka or program != "tallymill" else words[2:3]
            for one in tried if name in WHOLE else tried[:2]:
                yield program, name, one, site.command(program, *one)


def test_no_program_shows_a_secret_in_what_it_says(site):
    tried = list(commands_of(site))
    assert {program for program, *_ in tried} == set(PROGRAMS) and len(tried) > 100
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for what, done in zip(tried, pool.map(lambda one: run(one[-1], SECONDS), tried)):
            must_be_silent(done.out + done.err, what[:3])


@pytest.fixture(name="login")
def _login(site):
    """A login of both services whose password is the secret."""
    name = f"secret_{site.topic.replace('-', '_')}"
    site.database.run(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'; GRANT tallymill_ingest, tallymill_aggregate, tallymill_read TO {name}")
    yield name
    site.database.run(f"REVOKE tallymill_ingest, tallymill_aggregate, tallymill_read FROM {name}; DROP ROLE {name}")


def start(site, login, way, **how):
    """A worker and an aggregator that have logged in this way; with `bug` only a worker, which has it."""
    kafka = "".join(f"{name} = {value}\n" for name, value in site.stack.kafka.items() if name != "bootstrap.servers")
    write(site, way, kafka, ways(site, site.folder, user=login)[way][1])
    return [site.worker(**how)] + ([] if how else [site.aggregator()])


def must_connect(program):
    wait_until(lambda: "connected to Postgres" in program.log(), 30, lambda: f"it to connect:\n{program.log()}")


def test_a_running_service_shows_no_secret_anywhere(site, login):
    services = {way: start(site, login, way) for way in RUNNING}
    for way, programs in services.items():
        for program in programs:
            monitor = Monitor(program)
            must_connect(program)
            must_not_show(program, way)
            for path in ("/metrics", "/health", "/"):
                must_be_silent(monitor.get(path)[2], (way, path))
        site.settings = site.folder / f"{way}.ini"
        must_be_silent(site.must("tallymill", "status", "--json").out, (way, "status"))
    for way, programs in services.items():
        for program in programs:
            assert program.stop() == 0
            must_be_silent(program.log(), (way, "log"))


def test_a_secret_that_is_shown_is_seen(site, login):
    """In a log, on a command line, in an environment: the search above is worth something."""
    (leaking,) = start(site, login, "pairs", build="check", bug="secret_shown")
    must_connect(leaking)
    with pytest.raises(AssertionError):
        must_be_silent(leaking.log(), "log")
    idle = [sys.executable, "-c", "import time; time.sleep(60)"]
    for command, env in (([*idle, SECRET], {}), (idle, {"PGPASSWORD": SECRET})):
        shown = Program(command, site.folder / "shown.log", env)
        with pytest.raises(AssertionError):
            must_not_show(shown, "shown")
        shown.kill()
