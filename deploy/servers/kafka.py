"""Kafka: one broker of the private cluster, and the cluster.

Each broker is one process in both KRaft roles; one, or three that form a quorum. What is set here serves a
machine with few cores on which many clusters start and are killed: small internal topics, no initial rebalance
delay, a small cleaner buffer (the default of 128 MB is half of a small heap), short sessions. A killed broker
cannot register again before its old session has run out, so for a single one that wait is 3 s; with three, where
a false alarm moves leaders, 6 s. Topics are never made by accident.

A secured cluster (`--secure`) has four listeners: SECURE for programs (SASL_SSL, SCRAM-SHA-512), MTLS for the brokers among themselves
and for whoever administers (the certificate names the user), OPEN without either, where nobody has any right, and the controllers'. Rights
are ACLs; the login of settings.ini has those that all programs together need.

A broker answers when a metadata request to it returns all the brokers that should be there and it has producer ids to
give: the log's "started" line comes before the broker is unfenced, and a producer that trusts it finds no leader.
"""

import base64
import os
import shutil
import signal
import struct
import uuid

from authority import LOGIN, Secrets
from kafka_admin import CLUSTER, KafkaAdmin
from process import LAST_RESORT, wait_until
from trouble import PortLost, Trouble, tail

METADATA = 3            # keys of requests in Kafka's protocol
INIT_PRODUCER_ID = 22
PORT_TRIES = 5
READY_SECONDS = 180


def new_id():
    """16 random bytes as Kafka writes them; no leading dash, which its command line would take for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def brokers_seen(admin):
    """The node ids of all brokers that the one asked knows; empty if it does not answer."""
    seen, at = set(), 4
    try:
        body = admin.ask(METADATA, 1, struct.pack(">i", 0), timeout=2.0)
        for _ in range(struct.unpack_from(">i", body)[0]):
            node, host = struct.unpack_from(">ih", body, at)
            at += 6 + host + 4
            at += 2 + max(struct.unpack_from(">h", body, at)[0], 0)     # the rack, -1 for none
            seen.add(node)
    except (Trouble, struct.error):
        return set()
    return seen


def gives_producer_ids(admin):
    """Whether an idempotent producer can begin: for a moment after its start a broker has no ids to give."""
    try:
        body = admin.ask(INIT_PRODUCER_ID, 0, struct.pack(">hi", -1, 10000), timeout=2.0)
    except Trouble:
        return False
    return len(body) >= 6 and struct.unpack_from(">h", body, 4)[0] == 0


def steps(quickly):
    """How brokers are stopped: with a farewell to the cluster, or at once."""
    return [LAST_RESORT] if quickly else [(signal.SIGTERM, 15), LAST_RESORT]


class Broker:
    def __init__(self, state, jars, node):
        self.state = state
        self.jars = jars
        self.node = node
        self.name = "kafka-%d" % node
        self.folder = state.path(self.name)
        self.config = os.path.join(self.folder, "server.properties")

    @property
    def port(self):
        return self.state.made["ports"][self.name]

    @property
    def is_secure(self):
        return self.state.made.get("secure", False)

    @property
    def admin(self):
        """How this broker is asked by us."""
        if not self.is_secure:
            return KafkaAdmin(self.port)
        return KafkaAdmin(self.state.made["ports"][self.name + "-mtls"], Secrets(self.state).context())

    def ports(self):
        """The names of this broker's ports."""
        more = [self.name + "-mtls", self.name + "-open"] if self.is_secure else []
        return [self.name, "controller-%d" % self.node] + more

    def command(self, extra=()):
        heap = "-Xmx512m" if self.state.made["brokers"] == 1 else "-Xmx256m"
        return self.jars.command([heap, "-XX:+UseSerialGC"] + list(extra), "kafka.Kafka", self.config)

    def configure(self):
        made = self.state.made
        several = made["brokers"] > 1
        voters = ",".join("%d@127.0.0.1:%d" % (n, made["ports"]["controller-%d" % n])
                          for n in range(1, made["brokers"] + 1))
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": "PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d"
                         % (self.port, made["ports"]["controller-%d" % self.node]),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": "data",     # relative: the file's format mangles paths that are not plain ASCII
            "auto.create.topics.enable": "false",
            "default.replication.factor": made["brokers"],
            "min.insync.replicas": 2 if several else 1,
            "offsets.topic.replication.factor": made["brokers"],
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": made["brokers"],
            "transaction.state.log.min.isr": 2 if several else 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": made["brokers"],
            "share.coordinator.state.topic.min.isr": 2 if several else 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "broker.session.timeout.ms": 6000 if several else 3000,
            "broker.heartbeat.interval.ms": 1000 if several else 500,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "log.segment.delete.delay.ms": 1000,    # what is deleted need not be written back first
        }
        os.makedirs(self.folder, exist_ok=True)
        if self.is_secure:
            settings.update(self._secure())
        with open(self.config, "w") as out:
            out.write("# Written by deploy/stack at each start.\n")
            out.writelines("%s=%s\n" % pair for pair in settings.items())
        self._format()

    def _secure(self):
        """The settings of a secured broker; its PEM files are copied beside them (the file's format mangles some paths)."""
        kept, ports = Secrets(self.state), self.state.made["ports"]
        for name in ("ca.pem", "server.pem", "broker.pem"):
            shutil.copy(kept.path(name), self.folder)
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings = {
            "listeners": "SECURE://127.0.0.1:%d,MTLS://127.0.0.1:%d,OPEN://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d"
                         % tuple(ports[name] for name in (self.name, self.name + "-mtls", self.name + "-open", "controller-%d" % self.node)),
            "listener.security.protocol.map": "SECURE:SASL_SSL,MTLS:SSL,OPEN:PLAINTEXT,CONTROLLER:SSL",
            "inter.broker.listener.name": "MTLS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": "broker.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": "ca.pem",
            "listener.name.secure.ssl.keystore.location": "server.pem",
            "listener.name.secure.ssl.keystore.type": "PEM",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            # Tokens without a signature: whoever can reach this private broker may be anybody. For tests of the way a token takes.
            "listener.name.secure.oauthbearer.sasl.jaas.config":
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"nobody\";",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": scram,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:broker;User:admin",
        }
        for name in ("mtls", "controller"):
            settings["listener.name.%s.ssl.client.auth" % name] = "required"
            settings["listener.name.%s.ssl.principal.mapping.rules" % name] = "RULE:^CN=([^,]+).*$/$1/"
        return settings

    def _format(self):
        """Give a new broker its data directory: the storage tool's pattern, with this cluster's and its own ids."""
        data = os.path.join(self.folder, "data")
        if os.path.exists(os.path.join(data, "meta.properties")):
            return
        shutil.rmtree(data, ignore_errors=True)
        scratch = data + ".new"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(self.jars.formatted, scratch)
        with open(os.path.join(scratch, "meta.properties"), "w") as out:
            out.write("version=1\nnode.id=%d\ncluster.id=%s\ndirectory.id=%s\n"
                      % (self.node, self.state.made["cluster_id"], new_id()))
        os.rename(scratch, data)

    def is_running(self):
        return self.state.records.pid(self.name) is not None

    def sees(self, nodes):
        return nodes <= brokers_seen(self.admin) and gives_producer_ids(self.admin)

    def launch(self, extra=()):
        """Start the process, unless one that no record knows runs already. Returns how long its log was before."""
        log = self.state.log(self.name)
        start = os.path.getsize(log) if os.path.exists(log) else 0
        if not self.state.records.adopt(self.name, self.command(extra)):
            self.state.records.launch(self.name, self.command(extra), log, cwd=self.folder,
                                      env=dict(os.environ, LC_ALL="C.UTF-8"))
        return start

    def await_answer(self, nodes, start):
        """Wait until this broker answers and sees `nodes`. Raises PortLost or Trouble."""
        wait_until(lambda: not self.is_running() or self.sees(nodes), READY_SECONDS, 0.1)
        if self.is_running() and self.sees(nodes):
            return
        log = self.state.log(self.name)
        if not self.is_running() and "Address already in use" in tail(log, 200, start or 0):
            raise PortLost("%s lost its port %d to another program" % (self.name, self.port))
        why = "does not answer after %d s" % READY_SECONDS if self.is_running() else "ended while starting"
        raise Trouble("%s %s; the end of %s:\n%s" % (self.name, why, log, tail(log, start=start or 0)))

    def stop(self, quickly=False):
        self.state.records.stop([self.name], steps(quickly))


class Cluster:
    def __init__(self, state, jars):
        self.state = state
        self.brokers = [Broker(state, jars, node) for node in range(1, state.made["brokers"] + 1)]

    @property
    def bootstrap(self):
        return ",".join("127.0.0.1:%d" % broker.port for broker in self.brokers)

    @property
    def mtls_bootstrap(self):
        return ",".join("127.0.0.1:%d" % self.state.made["ports"][broker.name + "-mtls"] for broker in self.brokers)

    def is_running(self):
        return all(broker.is_running() for broker in self.brokers)

    def broker(self, node):
        if not 1 <= node <= len(self.brokers):
            raise Trouble("there is no broker %d: this stack has %d" % (node, len(self.brokers)), 2)
        return self.brokers[node - 1]

    def choose_ports(self, anew):
        for broker in self.brokers:
            for name in broker.ports():
                self.state.choose_port(name, anew)

    def let_in(self):
        """Give the login of settings.ini its password and the rights of all programs together; again at each start."""
        admin, everything = self.brokers[0].admin, "*"
        admin.set_password(LOGIN, Secrets(self.state).read("kafka-password"))
        topic = ("Describe", "DescribeConfigs", "Create", "Read", "Write", "Delete", "Alter")
        admin.allow(LOGIN, [("topic", everything, operation) for operation in topic]
                    + [("group", everything, operation) for operation in ("Read", "Describe")]
                    + [("cluster", CLUSTER, "Describe")])

    def start(self, extra=()):
        """Start the brokers that do not run; return once each answers and sees all the others.

        Ports can only be chosen while no broker runs, for the others have them in their configuration.
        """
        everyone = {broker.node for broker in self.brokers}
        for attempt in range(1, PORT_TRIES + 1):
            if not any(broker.is_running() for broker in self.brokers):
                self.choose_ports(anew=attempt > 1)
            try:
                starts = {}
                for broker in self.brokers:
                    if not broker.is_running():
                        broker.configure()
                        starts[broker.node] = broker.launch(extra)
                for broker in self.brokers:
                    broker.await_answer(everyone, starts.get(broker.node))
                return
            except PortLost:
                for node in starts:
                    self.broker(node).stop(quickly=True)
                if attempt == PORT_TRIES or len(starts) < len(self.brokers):
                    raise

    def start_one(self, broker):
        """Start one broker again, on the ports that the others know; return once it answers and sees those that run."""
        if broker.is_running():
            return
        broker.configure()
        running = {other.node for other in self.brokers if other.is_running()} | {broker.node}
        broker.await_answer(running, broker.launch())

    def stop(self, quickly=False):
        self.state.records.stop([broker.name for broker in self.brokers], steps(quickly))
