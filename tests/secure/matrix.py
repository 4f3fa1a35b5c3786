"""The ways in which a server does not let us in, each with what the message must name. Every program of the daily work meets each.

`sets` are settings; `named` are words of the last line on stderr: the setting, the server, the remedy.
"""

import re
import subprocess

from integration.harness.secured import dsn_with

PROGRAMS = {
    "worker": ("tallymill-consumer", "--until-end"),
    "check": ("tallymill-consumer", "--check"),
    "produce": ("tallymill-produce", "--generate", "5"),
    "migrate": ("tallymill", "migrate"),
    "lag": ("tallymill", "lag"),
    "reset": ("tallymill", "reset", "--at", "0:end", "--yes"),
}


def other_authority(folder):
    """The certificate of an authority that signed none of the servers'."""
    path = folder / "other-ca.pem"
    if not path.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
                        "-out", path, "-days", "10", "-subj", "/CN=other"], check=True, capture_output=True)
    return path


def kafka_faults(site):
    """Name to (settings, words of the message)."""
    host, port = site.stack.kafka["bootstrap.servers"].split(":")
    mtls, plain = site.secured.ports["kafka-1-mtls"], site.secured.open_port
    return {
        "wrong authority": ({"kafka.ssl.ca.location": other_authority(site.folder)}, ["kafka.ssl.ca.location", f"{host}:{port}", "authority's certificate"]),
        "wrong host name": ({"kafka.bootstrap.servers": f"localhost:{port}"}, ["kafka.bootstrap.servers", f"localhost:{port}", "another name"]),
        "wrong password": ({"kafka.sasl.password": "hunter2"}, ["kafka.sasl.password", f"{host}:{port}", "tallymill"]),
        "unknown login": ({"kafka.sasl.username": "nobody"}, ["kafka.sasl.username", f"{host}:{port}", "nobody"]),
        "wrong mechanism": ({"kafka.sasl.mechanism": "PLAIN"}, ["kafka.sasl.mechanism = PLAIN", f"{host}:{port}", "sasl.enabled.mechanisms"]),
        "SASL to a plain port": ({"kafka.bootstrap.servers": f"{host}:{plain}"}, ["kafka.security.protocol = SASL_SSL", f"{host}:{plain}", "PLAINTEXT"]),
        "plain to a SASL port": ({"kafka.security.protocol": "PLAINTEXT"}, ["kafka.security.protocol = PLAINTEXT", f"{host}:{port}", "SASL_SSL"]),
        "TLS without a login": ({"kafka.security.protocol": "SSL"}, ["kafka.security.protocol = SASL_SSL", f"{host}:{port}", "kafka.sasl.username"]),
        "SASL where no login is asked for": ({"kafka.security.protocol": "SASL_PLAINTEXT", "kafka.bootstrap.servers": f"{host}:{plain}"},
                                            ["kafka.security.protocol = PLAINTEXT", f"{host}:{plain}", "no login"]),
        "SASL without TLS": ({"kafka.security.protocol": "SASL_PLAINTEXT"}, ["kafka.security.protocol = SASL_PLAINTEXT", f"{host}:{port}", "SASL_SSL"]),
        "no certificate of ours": ({"kafka.security.protocol": "SSL", "kafka.bootstrap.servers": f"{host}:{mtls}"},
                                   ["kafka.ssl.certificate.location", f"{host}:{mtls}", "kafka.ssl.key.location"]),
        "nobody's rights": ({"kafka.security.protocol": "PLAINTEXT", "kafka.bootstrap.servers": f"{host}:{plain}"},
                            ["ANONYMOUS", f"{host}:{plain}", "kafka-acls", site.topic]),
    }


def postgres_faults(site):
    dsn = site.database.dsn
    bad = site.folder / "bad-pgpass"
    bad.write_text("*:*:*:*:hunter2\n")
    bad.chmod(0o600)
    empty, open_to_all = site.folder / "empty-pgpass", site.folder / "open-pgpass"
    for path, mode in ((empty, 0o600), (open_to_all, 0o644)):
        path.write_text("no-such-host:*:*:*:hunter2\n")
        path.chmod(mode)
    return {
        "wrong authority": ({"postgres.dsn": dsn_with(dsn, sslrootcert=other_authority(site.folder))}, ["postgres.dsn", "127.0.0.1", "sslrootcert"]),
        "wrong host name": ({"postgres.dsn": dsn_with(dsn, host="localhost")}, ["postgres.dsn", "localhost", "host"]),
        "wrong password": ({"postgres.dsn": dsn_with(dsn, passfile=bad)}, ["postgres.dsn", "127.0.0.1", "passfile"]),
        "wrong password, TLS as libpq likes": ({"postgres.dsn": dsn_with(dsn, passfile=bad, sslmode="prefer")}, ["postgres.dsn", "127.0.0.1", "check user and password"]),
        "no password": ({"postgres.dsn": dsn_with(dsn, passfile=empty)}, ["postgres.dsn", "127.0.0.1", "no password", "passfile", "mode 600"]),
        "open passfile": ({"postgres.dsn": dsn_with(dsn, passfile=open_to_all)}, ["postgres.dsn", "passfile", "chmod 600"]),
        "no value": ({"postgres.dsn": dsn_with(dsn, channel_binding="x")}, ["postgres.dsn", "channel_binding"]),
        "without TLS": ({"postgres.dsn": dsn_with(dsn, sslmode="disable")}, ["postgres.dsn", "127.0.0.1", "sslmode=verify-full"]),
    }


def words_of(sets):
    return [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


def last_line(done):
    lines = [line for line in done.err.splitlines() if line.startswith("tallymill")]
    assert lines, done
    return lines[-1] if len(lines) == 1 else "\n".join(lines)


def must_be_refused(site, program, sets, named):
    """Runs one program with these settings: exit code 2, one message with all words, and nothing anywhere changed."""
    done = site.run(PROGRAMS[program][0], *PROGRAMS[program][1:], *words_of(sets), deadline=60)
    said = last_line(done)
    assert done.code == 2, done
    assert all(word in said for word in map(str, named)), (named, done)
    assert "hunter2" not in done.out + done.err, done
    assert len(re.findall(r"cannot reach Kafka, trying again", done.err)) <= 1, done  # each trouble is told once, however often it is met


def must_hold_nothing(site):
    assert sum(site.end_offsets().values()) == 0 and site.outcomes() == (0, 0, 0, 0)
    assert site.database.value("SELECT count(*) FROM tallymill.owners") == 0
