"""Authority: what a stack of `--secure` keeps secrets by: an authority of its own, certificates, passwords.

    secrets/ca.pem, ca.key          the authority
    secrets/server.pem              key and certificate of Kafka's SASL_SSL listener
    secrets/broker.pem              of the brokers among themselves and of their mTLS listener
    secrets/postgres.crt, .key      Postgres's
    secrets/admin.pem               a client's certificate: CN=admin, Kafka's superuser
    secrets/kafka-password, pgpass  of the login that settings.ini names

Every server's certificate is good for 127.0.0.1 and nothing else, so that `localhost` is a wrong name to try. openssl makes
them, which Postgres's package brings along; Python's standard library makes no certificate. What exists is never made
again: delete a file and start again, and the authority issues it anew.
"""

import os
import secrets
import ssl
import subprocess

from trouble import Trouble

LOGIN = "tallymill"
DAYS = "3650"
NAMES = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"


def openssl(*words, text=""):
    try:
        done = subprocess.run(["openssl", *words], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)
    except FileNotFoundError:
        raise Trouble("missing: openssl, which makes the certificates\ninstall with: apt-get install openssl", 2) from None
    if done.returncode != 0:
        raise Trouble("openssl %s failed:\n%s" % (words[0], done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode()


def new_key():
    return openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")


class Secrets:
    def __init__(self, state):
        self.folder = state.path("secrets")

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name)) as source:
            return source.read().strip()

    def write(self, name, text):
        """Whole or not at all, for a server or a program may read it at any moment; for its owner alone."""
        scratch = self.path(name + ".new")
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)
        os.replace(scratch, self.path(name))

    def has(self, name):
        return os.path.exists(self.path(name))

    def make(self):
        """Make what is missing."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if not self.has("ca.pem"):
            self.write("ca.key", new_key())
            self.write("ca.pem", openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-days", DAYS,
                                         "-subj", "/CN=Tallymill's private authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"))
        for name, subject in (("server.pem", "server"), ("broker.pem", "broker"), ("admin.pem", "admin")):
            if not self.has(name):
                self.write(name, "".join(self.issue(subject)))
        if not self.has("postgres.crt"):
            key, certificate = self.issue("postgres")
            self.write("postgres.key", key)
            self.write("postgres.crt", certificate)
        if not self.has("kafka-password"):
            self.write("kafka-password", secrets.token_urlsafe(24) + "\n")
        if not self.has("pgpass"):
            self.write("pgpass", "*:*:*:*:%s\n" % secrets.token_urlsafe(24))

    def issue(self, subject, days=DAYS):
        """A new key and its certificate, both PEM; with days below 0 one that has expired."""
        key = new_key()
        self.write("issued.key", key)
        self.write("issued.ext", NAMES)
        request = openssl("req", "-new", "-key", self.path("issued.key"), "-subj", "/CN=" + subject)
        self.write("issued.csr", request)
        certificate = openssl("x509", "-req", "-in", self.path("issued.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
                              "-set_serial", "0x" + secrets.token_hex(16), "-days", str(days), "-extfile", self.path("issued.ext"))
        for name in ("issued.key", "issued.ext", "issued.csr"):
            os.unlink(self.path(name))
        return key, certificate

    def context(self):
        """How Python reaches the mTLS listener as the superuser."""
        made = ssl.create_default_context(cafile=self.path("ca.pem"))
        made.load_cert_chain(self.path("admin.pem"))
        return made

    @property
    def postgres_password(self):
        return self.read("pgpass").rsplit(":", 1)[1]

    def login(self):
        """The settings below [kafka] of the programs' login."""
        return {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": LOGIN,
                "sasl.password": "@" + self.path("kafka-password"), "ssl.ca.location": self.path("ca.pem")}

    def client(self, bootstrap):
        """The properties by which a librdkafka client reaches the mTLS listener as the superuser."""
        return {"bootstrap.servers": bootstrap, "security.protocol": "SSL", "ssl.ca.location": self.path("ca.pem"),
                "ssl.certificate.location": self.path("admin.pem"), "ssl.key.location": self.path("admin.pem")}
