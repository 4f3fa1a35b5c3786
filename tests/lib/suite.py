"""The test run: builds, groups of tests, and the count at the end.

    builds        what each group needs, each log in build/logs/; the jars of the private Kafka meanwhile
    unit          ctest in the release and the asan build; Criterion's own count of tests, not of programs
    others        pytest in the folder of that name, or a variant (variants.py): both groups again, built otherwise;
                  a bare machine (bare.py): both commands of the README on another release of Debian

The run has a folder of its own in the temporary directory, or in memory (folder_of_runs), handed to the tests as TALLYMILL_TEST_DIR, in which they
keep their stacks. We hold a lock in it while we live. Where an earlier run's folder is without its owner, that run was
killed with SIGKILL (else it would have cleaned up): its stacks are reset first.
"""

import contextlib
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

import bare
import reaper
from variants import VARIANTS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = os.path.join(ROOT, "tests")
LOGS = os.path.join(ROOT, "build", "logs")
STACK = os.path.join(ROOT, "deploy", "stack")
PREFIX = "tallymill-run-"
MEMORY = "/dev/shm"
MEMORY_BYTES = 8 << 30      # free there, and of the machine's: five stacks take one or two, with the WAL of the largest tests

# gcc in one build and clang in the other: both compilers see everything, at no extra build.
BUILDS = {
    "release": ["-DTALLYMILL_TESTS=ON", "-DTALLYMILL_WERROR=ON"],
    "asan": ["-DTALLYMILL_TESTS=ON", "-DCMAKE_C_COMPILER=clang"],
    "check": ["-DTALLYMILL_TESTS=OFF"],
    "fuzz": [],
    "tsan": ["-DTALLYMILL_TESTS=ON"],
}
# What a group needs, where that is not the programs of the first three builds and servers.
BUILDS_OF = {"unit": ["release", "asan"], "fuzz": ["fuzz"], "model": [], "languages": ["release"], "packages": ["release"], "browser": ["release"], "alerts": ["release"], "analyse": ["release"]}
FOLDERS = {"release": "build", "asan": "build-asan", "check": "build-check", "fuzz": "build-fuzz"}
# Files of the integration tests that run side by side, each process with servers of its own: they wait more than they compute.
PROCESSES = 5
BUILD_SECONDS = 1200
GROUP_SECONDS = 2400
# A longer look by name (tests/README.md) says in its own words how long it is: TALLYMILL_LIVE_SECONDS=3600.
LONG_SECONDS = 6 * 3600
LONGER = re.compile(r"TALLYMILL_\w+_(SECONDS|ROUNDS|ROWS|LINES|KILLS)$")


class Failed(Exception):
    """A step without which the rest makes no sense; counts as one failure."""


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped


def say(text):
    print("== " + text, flush=True)


def tail(path, lines=40):
    with open(path, errors="replace") as log:
        return "".join(log.readlines()[-lines:])


def logged(name, command, seconds, **options):
    """Run a command with its output in build/logs/NAME.log. Returns its exit code; None past the deadline."""
    path = os.path.join(LOGS, name + ".log")
    with open(path, "ab") as log:
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=seconds,
                                  check=False, **options).returncode
        except subprocess.TimeoutExpired:
            log.write(b"\n(stopped: more than %d s)\n" % seconds)
            return None


def must(what, name, command, **options):
    """A step of a build; its log is build/logs/NAME.log."""
    if logged(name, command, BUILD_SECONDS, cwd=ROOT, **options) != 0:
        path = os.path.join(LOGS, name + ".log")
        raise Failed("%s failed; the end of %s:\n%s" % (what, path, tail(path)))


def build(preset, folder=None, env=None, options=()):
    """Configure and build one preset, in its own folder or another."""
    start = time.monotonic()
    folder = folder or FOLDERS[preset]
    path = os.path.join(ROOT, folder)
    for step in (["cmake", "--preset", preset, "-B", path, *BUILDS[preset], *options], ["cmake", "--build", path]):
        must("the build in %s" % folder, folder.replace("/", "-"), step, env=env)
    say("built %s (%d s)" % (folder, time.monotonic() - start))


def unit(count, folders, env=None):
    """The Criterion programs of these builds; two for a processor, since the longest wait for most of their time."""
    for folder in folders:
        start = time.monotonic()
        name = "unit-" + folder.replace("/", "-")
        result = os.path.join(LOGS, name + ".xml")
        logged(name, ["ctest", "--test-dir", os.path.join(ROOT, folder), "--output-junit", result,
                      "--output-on-failure", "--test-output-size-passed", "10000000",
                      "--test-output-size-failed", "10000000", "-j", str(2 * (os.cpu_count() or 1))], GROUP_SECONDS, env=env)
        passed, failed = read_ctest(result)
        count.add(passed, failed)
        say("unit tests, %s: %d passed, %d failed (%d s)" % (folder, passed, failed, time.monotonic() - start))


def read_ctest(path):
    """(passed, failed) of a ctest report, counted in Criterion's tests where a program says how many it ran.

    A program that ended badly counts as at least one failure, whatever it said before.
    """
    if not os.path.exists(path):
        print("ctest wrote no report; see the logs in " + LOGS)
        return 0, 1
    passed = failed = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        bad = case.get("status") == "fail" or case.find("failure") is not None
        counted = re.findall(r"Tested: *(\d+) *\| *Passing: *(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", output))
        tested, good = map(int, counted[-1]) if counted else (1, 0 if bad else 1)
        passed += good
        failed += max(tested - good, 1 if bad else 0)
        if bad:
            print("-- %s failed:\n%s" % (case.get("name"), output[-6000:]))
    return passed, failed


def group_seconds():
    return LONG_SECONDS if any(LONGER.match(name) for name in os.environ) else GROUP_SECONDS


def pytests(group, arguments, run_folder, count, words=None, env=None, seconds=None):
    """The pytest files of one folder, or what `words` name; what pytest says is shown as it comes."""
    seconds = seconds or group_seconds()
    result = os.path.join(LOGS, group + ".xml")
    if group == "integration" and "TALLYMILL_TEST_STACK" not in os.environ:
        arguments = ["-n", str(PROCESSES), "--dist", "loadfile"] + arguments
    command = [sys.executable, "-B", "-m", "pytest", *(words or [group]), "-ra", "--tb=short", "--durations=10", "--color=auto",
               "-p", "no:cacheprovider", "--junitxml", result] + arguments
    process = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=dict(os.environ if env is None else env, TALLYMILL_TEST_DIR=run_folder))
    try:
        timer_end = time.monotonic() + seconds
        with open(os.path.join(LOGS, group + ".log"), "wb") as log:
            signal.alarm(seconds)
            for line in process.stdout:
                log.write(line)
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
        code = process.wait(60)
    finally:
        signal.alarm(0)
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    passed, failed, skipped = read_pytest(result)
    if time.monotonic() >= timer_end or (code not in (0, 1, 5) and failed == 0):
        failed += 1
    count.add(passed, failed, skipped)


def read_pytest(path):
    if not os.path.exists(path):
        print("pytest wrote no report")
        return 0, 1, 0
    passed = failed = skipped = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def reset_stacks(folder):
    """Stop and delete whatever stacks lie below folder."""
    for made in glob.glob(os.path.join(glob.escape(folder), "**", "stack.json"), recursive=True):
        subprocess.run([STACK, "reset", "--state", os.path.dirname(made)], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)


def free_memory():
    """Bytes that the machine, and the control groups that we are in, have left."""
    with open("/proc/meminfo") as known:
        left = int(re.search(r"^MemAvailable: +(\d+) kB", known.read(), re.MULTILINE).group(1)) << 10
    with open("/proc/self/cgroup") as known:
        own = re.search(r"^0::/(.*)$", known.read(), re.MULTILINE)
    parts = own.group(1).split("/") if own else []
    for depth in range(len(parts) + 1):
        group = os.path.join("/sys/fs/cgroup", *parts[:depth])
        with contextlib.suppress(OSError, ValueError), open(group + "/memory.max") as most, open(group + "/memory.current") as now:
            left = min(left, int(most.read()) - int(now.read()))    # "max" is no number
    return left


def folder_of_runs(groups):
    """Where the folder of a run is made: TALLYMILL_TEST_DIR; for the integration tests of the usual size memory, where there is plenty; else the temporary directory.

    These tests make and drop a thousand databases of five hundred files each, for which a disk's file system takes three times the CPU that Postgres
    does. Nothing less is shown: no test takes the machine's power away, and what a killed server has written is in the kernel's hands on a disk, too.
    """
    if "TALLYMILL_TEST_DIR" in os.environ:
        return os.environ["TALLYMILL_TEST_DIR"]
    is_usual = all(group in ("unit", "integration") or group in VARIANTS for group in groups) and not any(LONGER.match(name) for name in os.environ)
    if is_usual and groups != ["unit"]:
        with contextlib.suppress(OSError, AttributeError):
            there = os.statvfs(MEMORY)
            if os.access(MEMORY, os.W_OK) and min(there.f_bavail * there.f_frsize, free_memory()) >= MEMORY_BYTES:
                return MEMORY
    return tempfile.gettempdir()


def sweep():
    """Clean up after runs that were killed."""
    places = {tempfile.gettempdir(), MEMORY, os.environ.get("TALLYMILL_TEST_DIR", MEMORY)}
    for folder in [folder for place in places for folder in glob.glob(os.path.join(glob.escape(place), PREFIX + "*"))]:
        try:
            if os.stat(folder).st_uid != os.geteuid():
                continue
            with open(os.path.join(folder, "lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                say("cleaning up after an earlier run that was killed")
                reset_stacks(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue        # its run is alive, or was made or ended this moment


def parse(words):
    """(groups, arguments for pytest) of the command line."""
    arguments = []
    if "--" in words:
        arguments = words[words.index("--") + 1:]
        words = words[:words.index("--")]
    groups = words or ["unit", "integration"]
    for group in groups:
        if group != "unit" and group not in VARIANTS and group not in bare.SUITES and not glob.glob(os.path.join(TESTS, group, "test_*.py")):
            known = sorted({os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(TESTS, "*", "test_*.py"))})
            print("tests/run: there is no group %r; there are: unit %s" % (group, " ".join(sorted({*known, *VARIANTS, *bare.SUITES}))), file=sys.stderr)
            sys.exit(2)
    return groups, arguments


def run(groups, arguments, run_folder, count):
    servers = None
    if any(group not in BUILDS_OF and group not in bare.SUITES for group in groups):
        servers = subprocess.Popen([STACK, "fetch"], stdin=subprocess.DEVNULL)
    wanted = [preset for group in groups if group not in VARIANTS and group not in bare.SUITES for preset in BUILDS_OF.get(group, ["release", "asan", "check"])]
    for preset in BUILDS:
        if preset in wanted:
            build(preset)
    if servers is not None and servers.wait(900) != 0:
        raise Failed("deploy/stack could not fetch the private Kafka")
    for group in groups:
        say(group)
        if group in VARIANTS:
            run_variant(VARIANTS[group], arguments, run_folder, count)
        elif group in bare.SUITES:
            if bare.missing():
                raise Failed(bare.missing())
            tell = bare.timed(say, logged, lambda name: os.path.join(LOGS, name + ".log"))
            count.add(*bare.run(group, ROOT, arguments, tell))
        elif group == "unit":
            unit(count, [FOLDERS["release"], FOLDERS["asan"]])
        else:
            pytests(group, arguments, run_folder, count)


def run_variant(variant, arguments, run_folder, count):
    """Unit and integration tests again, on builds or servers of the variant's own (only servers: without the unit tests, which have none)."""
    try:
        env = variant.environment(ROOT)
    except (OSError, ValueError, subprocess.SubprocessError) as why:
        raise Failed("%s: %s" % (variant.name, why)) from why
    for preset in variant.presets:
        build(preset, variant.folder(preset), env, variant.options)
    if variant.own_builds:
        unit(count, [variant.folder(preset) for preset in variant.presets if "-DTALLYMILL_TESTS=ON" in BUILDS[preset]], env)
    pytests("integration", arguments, run_folder, count, variant.words, env, variant.seconds)


def tell_left_overs():
    """Name what tests left running. It has become our parent's, the reaper's, which ends it when we have gone."""
    for pid in reaper.children(os.getppid()):
        if pid != os.getpid():
            with open("/proc/%d/cmdline" % pid, "rb") as line:
                command = line.read().replace(b"\0", b" ").decode(errors="replace")
            say("left running by a test: pid %d, %s" % (pid, command[:150]))


def interrupt(sign, _frame):
    raise KeyboardInterrupt(sign)


def main(words):
    groups, arguments = parse(words)
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    start = time.monotonic()
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    sweep()
    run_folder = tempfile.mkdtemp(prefix=PREFIX, dir=folder_of_runs(groups))
    os.chmod(run_folder, 0o755)     # the account that Postgres runs under must get through
    count = Count()
    try:
        with open(os.path.join(run_folder, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run(groups, arguments, run_folder, count)
    except Failed as failed:
        print(failed)
        count.add(0, 1)
    except KeyboardInterrupt as why:
        print("interrupted: past the deadline of these tests (%d s)" % group_seconds() if why.args == (signal.SIGALRM,) else "interrupted")
        count.add(0, 1)
    finally:
        reset_stacks(run_folder)
        shutil.rmtree(run_folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        tell_left_overs()
    say("%d s; logs in %s" % (time.monotonic() - start, LOGS))
    skipped = ", %d skipped" % count.skipped if count.skipped else ""
    print("%d passed, %d failed%s" % (count.passed, count.failed, skipped), flush=True)
    return 0 if count.passed and not count.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
