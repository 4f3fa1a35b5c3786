"""A bare machine of another release of Debian, on which both commands of the README are run, by name:

    tests/run debian-12            debootstrap's smallest bookworm, then deploy/demo, then tests/run, in a container
    tests/run debian-13            the same with trixie: Postgres 17, and the distribution's librdkafka

The root is made anew each time and lies in build-NAME/ afterwards. What is tried is the checkout's last commit. The machine's own certificates
(/usr/local/share/ca-certificates) and the way to its registries are taken along, and nothing else: what the two commands need they must fetch.
With TALLYMILL_BARE_CACHE=yes also what this machine has fetched before (~/.cache/tallymill), where a registry cannot be reached from inside.
Needs root, debootstrap and systemd-nspawn (package systemd-container). The packages, three builds and all tests take half an hour on two cores.
"""

import os
import re
import shutil
import time

SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}
MAKE_SECONDS = 1200
DEMO_SECONDS = 2400
TESTS_SECONDS = 3 * 3600
TRUST = "usr/local/share/ca-certificates"
KEPT = ("kafka-*", "archives")    # of the cache: what does not depend on the distribution
PASSED_ON = ("GOPROXY", "npm_config_registry")


def missing():
    """What keeps us from it, or None."""
    if os.geteuid() != 0:
        return "a bare machine is made by root only"
    for program, package in (("debootstrap", "debootstrap"), ("systemd-nspawn", "systemd-container")):
        if shutil.which(program) is None:
            return "%s is not there: apt-get install %s" % (program, package)
    return None


def make(suite, folder, checkout):
    """Commands that make the root and put the checkout's last commit into it."""
    commands = [["rm", "-rf", "--one-file-system", folder], ["mkdir", "-p", folder],
                ["debootstrap", "--variant=minbase", suite, folder],
                ["git", "-c", "safe.directory=*", "clone", "-q", "--no-hardlinks", checkout, folder + "/root/tallymill"]]
    if os.path.isdir("/" + TRUST):
        commands += [["mkdir", "-p", "%s/%s" % (folder, TRUST)], ["cp", "-r", "/%s/." % TRUST, "%s/%s" % (folder, TRUST)]]
    cache = os.path.expanduser("~/.cache/tallymill")
    if os.environ.get("TALLYMILL_BARE_CACHE") == "yes":
        into = folder + "/root/.cache/tallymill"
        commands += [["mkdir", "-p", into], ["sh", "-c", "cd %s && cp -r %s %s" % (cache, " ".join(KEPT), into)]]
    return commands


def inside(folder, command):
    """The command line that runs a shell command in the root, with a loopback and the network of this machine."""
    passed = ["--setenv=%s=%s" % (name, os.environ[name]) for name in PASSED_ON if name in os.environ]
    return ["systemd-nspawn", "-q", "-D", folder, "--register=no", "--keep-unit", "--console=pipe", *passed, "bash", "-c", "cd /root/tallymill && " + command]


def run(name, checkout, arguments, tell):
    """Makes the root and runs both commands. Returns (passed, failed, skipped) of the inner suite, the demo counted as a test.
    `tell(what, log name, command, seconds)` runs one command with its log, and returns the exit code and the log's path."""
    folder = os.path.join(checkout, "build-" + name, "root")
    for command in make(SUITES[name], folder, checkout):
        code, log = tell("%s: %s" % (name, command[0]), name + "-root", command, MAKE_SECONDS)
        if code != 0:
            print("%s failed; see %s" % (" ".join(command), log))
            return 0, 1, 0
    code, log = tell(name + ": deploy/demo", name + "-demo", inside(folder, "deploy/demo --yes && deploy/stack reset"), DEMO_SECONDS)
    if code != 0:
        print("deploy/demo failed; see " + log)
    passed, failed = (1, 0) if code == 0 else (0, 1)
    words = "tests/run" + "".join(" '%s'" % word for word in (["--", *arguments] if arguments else []))
    code, log = tell(name + ": tests/run", name + "-tests", inside(folder, words), TESTS_SECONDS)
    with open(log, errors="replace") as text:
        lines = text.readlines()
    counted = [match for match in (re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\n", line) for line in lines) if match]
    if not counted:
        print("tests/run did not count; see " + log)
        return passed, failed + 1, 0
    for line in lines:
        if re.match(r"(FAILED|ERROR|-- .* failed)", line):
            print("   " + line.rstrip())
    inner = [int(number or 0) for number in counted[-1].groups()]
    return passed + inner[0], failed + inner[1] + (code != 0 and inner[1] == 0), inner[2]


def timed(say, logged, path_of):
    """tell() of the above from the suite's own tools."""
    def tell(what, log, command, seconds):
        start = time.monotonic()
        code = logged(log, command, seconds)
        say("%s: exit code %s (%d s)" % (what, code, time.monotonic() - start))
        return code, path_of(log)
    return tell

