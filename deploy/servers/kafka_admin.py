"""Kafka admin: logins and rights of a secured cluster, by the requests of Kafka's protocol.

Kafka's own tools do the same and take two seconds each, most of it for a Java of its own; a start and the tests of rights ask
a dozen times. The layouts: https://kafka.apache.org/protocol.html, CreateAcls and DeleteAcls version 1,
AlterUserScramCredentials version 0 (the one with compact lengths and tagged fields).
"""

import hashlib
import os
import socket
import struct

from trouble import Trouble

CREATE_ACLS = 30
DELETE_ACLS = 31
ALTER_SCRAM = 51
SCRAM_SHA_512 = 2
ITERATIONS = 4096
RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
OPERATIONS = {"All": 2, "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "DescribeConfigs": 10,
              "AlterConfigs": 11, "IdempotentWrite": 12}
ANY, LITERAL, ALLOW = 1, 3, 3
CLUSTER = "kafka-cluster"


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()


def compact(data):
    data = data.encode() if isinstance(data, str) else data
    assert len(data) < 126
    return struct.pack("B", len(data) + 1) + data


class KafkaAdmin:
    """Asks the broker at a port; with `context` (ssl) over TLS."""

    def __init__(self, port, context=None):
        self.port = port
        self.context = context

    def ask(self, request, version, body, flexible=False, timeout=10.0):
        """The answer's body without its header."""
        header = struct.pack(">hhih", request, version, 1, 5) + b"stack" + (b"\0" if flexible else b"")
        message = header + body
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout) as plain:
                link = self.context.wrap_socket(plain, server_hostname="127.0.0.1") if self.context else plain
                with link, link.makefile("rb") as answer:
                    link.sendall(struct.pack(">i", len(message)) + message)
                    return answer.read(struct.unpack(">i", answer.read(4))[0])[5 if flexible else 4:]
        except (OSError, struct.error) as error:
            raise Trouble("the broker at port %d did not answer: %s" % (self.port, error)) from None

    def set_password(self, user, password):
        """Make the SCRAM-SHA-512 login `user`, or give it another password."""
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
        login = compact(user) + struct.pack(">bi", SCRAM_SHA_512, ITERATIONS) + compact(salt) + compact(salted) + b"\0"
        self._expect_good(self.ask(ALTER_SCRAM, 0, b"\x01" + b"\x02" + login + b"\0", flexible=True), 5, user)

    @staticmethod
    def _expect_good(answer, at, user):
        """AlterUserScramCredentials: throttle, results (user, code)."""
        (code,) = struct.unpack_from(">h", answer, at + answer[at])
        if code != 0:
            raise Trouble("Kafka refused the login %s (error code %d)" % (user, code))

    @staticmethod
    def _rule(user, resource, name, operation, *pattern):
        who = None if user is None else "User:" + user
        return (struct.pack("b", RESOURCES[resource]) + string(name) + struct.pack("b", *(pattern or (LITERAL,))) + string(who)
                + string("*" if user else None) + struct.pack("bb", OPERATIONS[operation], ALLOW))

    def allow(self, user, rights):
        """Grant `rights`, a list of (resource, name, operation)."""
        body = struct.pack(">i", len(rights)) + b"".join(self._rule(user, *right) for right in rights)
        answer = self.ask(CREATE_ACLS, 1, body)
        at = 8
        for right in rights:
            code, length = struct.unpack_from(">hh", answer, at)
            at += 4 + max(length, 0)
            if code != 0:
                raise Trouble("Kafka did not grant %s (error code %d)" % (" ".join(right), code))

    def forbid(self, user, rights):
        """Take granted rights away again."""
        body = struct.pack(">i", len(rights)) + b"".join(self._rule(user, *right) for right in rights)
        answer = self.ask(DELETE_ACLS, 1, body)
        (code,) = struct.unpack_from(">h", answer, 8)
        if code != 0:
            raise Trouble("Kafka did not take the rights of %s away (error code %d)" % (user, code))
