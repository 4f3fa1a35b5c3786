"""A secret is in nothing that the services and the producer say, by whatever way it comes to them."""

from urllib.parse import quote

import pytest
from psycopg2 import extensions

SECRET = "s3cr3t/w%rd@x:y?z"  # what a URI must escape
PIECES = (SECRET, "s3cr3t", quote(SECRET, safe=""))
PROGRAMS = {
    "tallymill-consumer": (["--print-settings"], ["--check"], ["--until-end", "--deadline", "1 s"]),
    "tallymill-aggregator": (["--print-settings"], ["--check"], ["--once"]),
    "tallymill-produce": (["--print-settings"], ["--generate", "1"]),
}


def must_be_silent(text, where):
    assert not any(piece in text for piece in PIECES), (where, text[-2000:])


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
        for one in PROGRAMS[program] if "sasl" not in name else PROGRAMS[program][:2]:
            done = site.run(program, *one, deadline=60)
            must_be_silent(done.out + done.err, (name, program, one))
