"""Logins, rights and certificates of a secured stack, as an administrator gives and takes them."""

import contextlib
import importlib.util
import json
import pathlib
import sys

from psycopg2 import extensions

from .program import ROOT

_SERVERS = ROOT / "deploy" / "servers"

WORKER = ("topic:Read", "group:Read")
PRODUCER = ("topic:Write",)
ADMINISTRATOR = ("topic:Describe", "topic:DescribeConfigs")


def _module(name):
    """A module of deploy/servers, which is a program and no package."""
    if str(_SERVERS) not in sys.path:
        sys.path.insert(0, str(_SERVERS))
    return importlib.import_module(name)


def kafka_admin(stack):
    """The stack's own way to logins and rights of its Kafka."""
    secrets = _module("authority").Secrets(_module("state").State(str(stack.state)))
    port = json.loads((stack.state / "stack.json").read_text())["ports"]["kafka-1-mtls"]
    return _module("kafka_admin").KafkaAdmin(port, secrets.context())


class Secured:
    """What the administrator of a site's servers can do; `site` is one of a secured stack."""

    def __init__(self, site):
        self.site = site
        state = site.stack.state
        self.secrets = _module("authority").Secrets(_module("state").State(str(state)))
        self.ports = json.loads((state / "stack.json").read_text())["ports"]
        self.kafka = kafka_admin(site.stack)

    @property
    def open_port(self):
        """Of the listener without TLS and login."""
        return self.ports["kafka-1-open"]

    def rights(self, words):
        """("topic:Read", ...) for this site's topic and group, as KafkaAdmin takes them."""
        group = self.site.topic.replace("events-", "group-")
        return [(kind, self.site.topic if kind == "topic" else group, operation) for kind, operation in (word.split(":") for word in words)]

    def login(self, name, words, password="a good one"):
        """A Kafka login with exactly these rights. Returns the words by which a program takes it."""
        name = f"{name}-{self.site.topic}"
        self.kafka.set_password(name, password)
        self.kafka.allow(name, self.rights(words))
        secret = self.site.folder / f"{name}.password"
        secret.write_text(password + "\n")
        return Login(self, name, secret)


    @contextlib.contextmanager
    def database_login(self, name, *roles, password="a good one"):
        """A login of Postgres with exactly these roles, for a while. Gives the words by which a program takes it, and the login's name."""
        name = f"{name}_{self.site.topic.replace('-', '_')}"
        passfile = self.site.folder / f"{name}.pgpass"
        passfile.write_text(f"*:*:*:*:{password}\n")
        passfile.chmod(0o600)
        self.site.database.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        for role in roles:
            self.site.database.run(f"GRANT {role} TO {name}")
        try:
            yield ("--set", f"postgres.dsn={dsn_with(self.site.database.dsn, user=name, passfile=passfile)}"), name
        finally:
            self.site.database.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


class Login:
    def __init__(self, secured, name, secret):
        self.secured = secured
        self.name = name
        self.secret = secret
        self.words = ("--set", f"kafka.sasl.username={name}", "--set", f"kafka.sasl.password=@{secret}")

    def allow(self, *words):
        self.secured.kafka.allow(self.name, self.secured.rights(words))

    def forbid(self, *words):
        self.secured.kafka.forbid(self.name, self.secured.rights(words))

    def change_password(self, password):
        """At the broker; `tell` writes it where the programs read it."""
        self.secured.kafka.set_password(self.name, password)

    def tell(self, password):
        scratch = self.secret.with_suffix(".new")
        scratch.write_text(password + "\n")
        scratch.replace(self.secret)


def dsn_with(dsn, **parts):
    return extensions.make_dsn(dsn, **parts)
