"""deploy/stack: a private, real Apache Kafka and Postgres, started and stopped with one command.

    deploy/stack start [--brokers 1|3] [--secure]
                                         start what does not run, return once both answer, print the settings
    deploy/stack status                  what runs where; exit code 0 when all does, 1 when not
    deploy/stack stop                    stop the programs and servers that were started here, keep the data
    deploy/stack reset                   stop them at once and delete the data
    deploy/stack fetch                   fetch Kafka's jars and prepare quick starts; starts nothing

Single servers, for tests and the curious (N is 1 to the number of brokers):

    deploy/stack kill-broker N           SIGKILL          deploy/stack stop-broker N     a clean shutdown
    deploy/stack start-broker N          on its old port, data as it lies
    deploy/stack stop-postgres [--mode fast|immediate|smart|kill]
    deploy/stack start-postgres

Options of every command: --state DIR (default: .stack in the checkout; each directory is a stack of its own).

A stack listens on the loopback interface only and asks for no password: do not keep secrets in it on a machine
with other users. With --secure both servers ask for one over TLS: Kafka by SASL_SSL with SCRAM-SHA-512 and ACLs, Postgres by
scram-sha-256; kcat and the like come as superuser by a certificate (kcat -F .stack/kcat.conf). Exit codes: 0 done, 1 failed, 2 something is missing or was said wrongly.
"""

import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile

from authority import Secrets
from jars import DEPLOY, Jars
from kafka import Cluster, new_id
from need import Need
from postgres import MODES, NAME as POSTGRES, Postgres
from state import State
from trouble import Trouble

PROGRAM_STEPS = [(signal.SIGTERM, 30), (signal.SIGKILL, 10)]


def say(text):
    print("stack: " + text, file=sys.stderr, flush=True)


def programs(state):
    """The names of what runs here besides the servers: deploy/demo's workers."""
    return [name for name in state.records.names() if name != POSTGRES and not name.startswith("kafka-")]


def prepare(state, brokers, secure):
    """Find what a start needs, and make the state directory's record. Returns Jars and Need."""
    major = None
    if state.made is not None and state.made.get("postgres_ready"):
        major = state.made["postgres_major"]
    need = Need(major)
    if state.made is None:
        state.create({"brokers": brokers or 1, "cluster_id": new_id(), "secure": bool(secure)})
    elif secure and not state.made.get("secure"):
        raise Trouble("this stack was made without --secure; `deploy/stack reset` first, or use another --state", 2)
    elif brokers and brokers != state.made["brokers"]:
        raise Trouble("this stack was made with %d broker(s); `deploy/stack reset` first, or use another --state"
                      % state.made["brokers"], 2)
    if major is None:
        state.note(postgres_major=need.postgres_major)
    if state.made.get("secure"):
        Secrets(state).make()
    jars = Jars(need.java, say)
    jars.fetch()
    return jars, need


def start(state, brokers=None, secure=False, extra=()):
    """Start what does not run; on failure, or when interrupted, stop what this call started."""
    jars, need = prepare(state, brokers, secure)
    cluster, postgres = Cluster(state, jars), Postgres(state, need)
    ran_before = {name for name in state.records.names() if state.records.pid(name) is not None}
    if cluster.is_running() and postgres.is_running():
        say("already running")
    else:
        say("starting Kafka (%d broker%s) and Postgres" % (len(cluster.brokers), "s"[:len(cluster.brokers) - 1]))
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            tasks = [both.submit(cluster.start, extra), both.submit(start_postgres, postgres)]
            for task in tasks:
                task.result()
        if state.made.get("secure"):
            cluster.let_in()
    except BaseException:
        names = [name for name in state.records.names() if name not in ran_before]
        state.records.stop(names, [(signal.SIGTERM, 5), (signal.SIGQUIT, 5), (signal.SIGKILL, 10)])
        raise
    kafka = {"bootstrap.servers": cluster.bootstrap}
    if state.made.get("secure"):
        secrets = Secrets(state)
        kafka.update(secrets.login())
        state.write_kcat(secrets.client(cluster.mtls_bootstrap))
    state.write_settings(kafka, postgres.dsn)


def start_postgres(postgres):
    postgres.prepare()
    postgres.start()


def show_settings(state):
    say("settings in %s:" % state.settings)
    with open(state.settings) as source:
        sys.stdout.write(source.read())


def status(state):
    """Print what runs; whether all servers do."""
    if state.made is None:
        print("no stack in %s" % state.folder)
        return False
    servers = ["kafka-%d" % n for n in range(1, state.made["brokers"] + 1)] + [POSTGRES]
    running = {name: state.records.pid(name) for name in servers + programs(state)}
    for name, pid in running.items():
        port = state.made["ports"].get(name)
        print("%-20s %s%s" % (name, "running, pid %d" % pid if pid else "not running",
                              ", 127.0.0.1:%d" % port if port and pid else ""))
    print("%-20s %s" % ("settings", state.settings))
    return all(running[name] for name in servers)


def stop(state, quickly=False):
    """Stop the programs first, then the servers; whether anything ran."""
    ran = [name for name in state.records.names() if state.records.pid(name) is not None]
    steps = [(signal.SIGKILL, 10)] if quickly else PROGRAM_STEPS
    ok = state.records.stop(programs(state), steps)
    brokers = [name for name in state.records.names() if name.startswith("kafka-")]
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        kafka = both.submit(state.records.stop, brokers,
                            [(signal.SIGKILL, 10)] if quickly else [(signal.SIGTERM, 15), (signal.SIGKILL, 10)])
        database = both.submit(Postgres(state).stop, "immediate" if quickly else "fast")
        ok = kafka.result() and database.result() and ok
    if not ok:
        raise Trouble("some processes would not end; see `deploy/stack status --state %s`" % state.folder)
    return bool(ran)


def fetch():
    """Fill the cache: the jars, and the class archive out of one start and stop of a broker."""
    with tempfile.TemporaryDirectory(prefix="tallymill-fetch-") as scratch:
        state = State(scratch)
        need = Need()
        jars = Jars(need.java, say)
        jars.fetch()

        def run(options):
            say("preparing quick starts (once)")
            state.create({"brokers": 1, "cluster_id": new_id()})
            cluster = Cluster(state, jars)
            try:
                cluster.start(options)
                state.records.stop(["kafka-1"], [(signal.SIGTERM, 120)])
            finally:
                cluster.stop(quickly=True)

        jars.archive(run)


def single(state, command, node, mode):
    """The commands on one server."""
    if state.made is None:
        raise Trouble("no stack in %s; `deploy/stack start` makes one" % state.folder, 2)
    if command == "stop-postgres":
        Postgres(state).stop(mode)
    elif command == "start-postgres":
        postgres = Postgres(state, Need(state.made.get("postgres_major")))
        start_postgres(postgres)
    else:
        cluster = Cluster(state, Jars(Need().java, say))
        broker = cluster.broker(node)
        if command == "start-broker":
            cluster.start_one(broker)
        else:
            broker.stop(quickly=command == "kill-broker")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="deploy/stack", usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("command", nargs="?")
    parser.add_argument("node", nargs="?", type=int)
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--brokers", type=int, choices=(1, 3))
    parser.add_argument("--state", default=os.path.join(os.path.dirname(DEPLOY), ".stack"))
    parser.add_argument("--mode", choices=sorted(MODES), default="fast")
    parser.add_argument("--help", "-h", action="store_true")
    chosen = parser.parse_args(arguments)
    plain = ("start", "stop", "status", "reset", "fetch", "start-postgres", "stop-postgres")
    numbered = ("kill-broker", "stop-broker", "start-broker")
    if chosen.help:
        print(__doc__.strip())
        sys.exit(0)
    if chosen.command not in plain + numbered:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    if (chosen.command in numbered) != (chosen.node is not None):
        raise Trouble("%s takes %s" % (chosen.command, "a broker's number" if chosen.node is None else "no number"), 2)
    return chosen


def run(chosen):
    state = State(chosen.state)
    if chosen.command == "fetch":
        fetch()
        return 0
    if chosen.command == "status":
        return 0 if status(state) else 1
    if chosen.command in ("stop", "reset") and state.made is None:
        say("no stack in %s" % state.folder)
        return 0
    with state.locked():
        if chosen.command == "start":
            start(state, chosen.brokers, chosen.secure)
            show_settings(state)
        elif chosen.command == "stop":
            say("stopped" if stop(state) else "nothing was running")
        elif chosen.command == "reset":
            stop(state, quickly=True)
            state.remove()
            say("deleted the stack in %s" % state.folder)
        else:
            single(state, chosen.command, chosen.node, chosen.mode)
    return 0


def leave(sign, _frame):
    raise SystemExit(128 + sign)


def main():
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    try:
        code = run(parse(sys.argv[1:]))
        sys.stdout.flush()
        return code
    except Trouble as trouble:
        say(str(trouble))
        return trouble.code
    except (PermissionError, subprocess.TimeoutExpired) as error:
        say("%s (started by another user?)" % error if isinstance(error, PermissionError) else str(error))
        return 1
    except OSError as error:    # stdout on a full disk, a closed pipe
        say(str(error))
        sys.stdout = None   # or Python tries again at its end
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
