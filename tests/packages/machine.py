"""A Debian with systemd, booted in a container that shares this machine's network, so that it reaches the test's servers.

Commands run in it by nsenter, as root; each has a deadline. What ends it is its own shutdown, else SIGKILL of systemd-nspawn, which takes everything in it along.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

from integration.harness.program import run, with_parent
from integration.harness.waiting import wait_until

from .build import SUITE

MAKE_SECONDS = 600
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TRUST = pathlib.Path("/usr/local/share/ca-certificates")


def missing():
    """What keeps us from it, or None."""
    if os.geteuid() != 0:
        return "a machine is booted by root only"
    for program, package in (("debootstrap", "debootstrap"), ("systemd-nspawn", "systemd-container"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"{program} is not there: apt-get install {package}"
    return None


class Machine:
    def __init__(self, root, keep=False):
        self.root = pathlib.Path(root)
        self.keep = keep
        self.container = None
        self.leader = None

    def __enter__(self):
        if not (self.root / "made").exists():
            self._make()
        log = open(self.root.parent / "boot.log", "wb")  # noqa: SIM115  (as long as it runs)
        self.container = subprocess.Popen(with_parent(["systemd-nspawn", "-q", "-D", str(self.root), "-b", "--register=no", "--keep-unit", "--console=pipe"]),
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        try:
            self.leader = wait_until(self._find_leader, 60, "systemd to be started in the container")
            wait_until(lambda: self.run("systemctl", "is-system-running", "--wait").out.strip() in ("running", "degraded"), 120, "it to be booted",
                       despite=(subprocess.TimeoutExpired,))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.container.poll() is None:
            if self.leader:
                with contextlib.suppress(OSError):
                    os.kill(self.leader, signal.SIGRTMIN + 3)  # systemd: halt
            try:
                self.container.wait(60)
            except subprocess.TimeoutExpired:
                self.container.kill()
                self.container.wait(60)
        if not self.keep:
            subprocess.run(["rm", "-rf", "--one-file-system", str(self.root)], timeout=120, check=False)

    def _make(self):
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.root)], timeout=120, check=False)  # half of one
        done = run(["debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,ca-certificates", SUITE, str(self.root)], MAKE_SECONDS)
        assert done.code == 0, done
        if TRUST.is_dir():  # the way to this machine's registries
            shutil.copytree(TRUST, self.root / TRUST.relative_to("/"), dirs_exist_ok=True)
            assert run(["env", "-i", f"PATH={PATH}", "chroot", str(self.root), "update-ca-certificates"], 60).code == 0
        (self.root / "made").touch()

    def _find_leader(self):
        """The container's first process: a child of systemd-nspawn's that is 1 in a namespace of its own (there are others for a moment)."""
        with open(f"/proc/{self.container.pid}/task/{self.container.pid}/children", encoding="ascii") as children:
            for child in children.read().split():
                with contextlib.suppress(OSError):
                    status = pathlib.Path(f"/proc/{child}/status").read_text(encoding="ascii")
                    if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE) and "\nName:\tsystemd\n" in "\n" + status:
                        return int(child)
        return None

    def run(self, *words, deadline=120):
        command = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "env", "-i", f"PATH={PATH}",
                   "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root", *map(str, words)]
        return run(command, deadline)

    def must(self, *words, **how):
        done = self.run(*words, **how)
        assert done.code == 0, done
        return done.out

    def put(self, path, text, mode=0o644):
        """A file in it, by a path of its own."""
        place = self.root / str(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def take(self, folder):
        """The packages of a folder, as apt in it is told them."""
        shutil.copytree(folder, self.root / "packages" / folder.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        return [f"/packages/{folder.name}/{path.name}" for path in sorted(folder.glob("tallymill_*.deb"))]

    def apt(self, *words, deadline=600):
        return self.must("apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "--no-install-recommends", *words, deadline=deadline)

    def show(self, unit, name):
        return self.must("systemctl", "show", "--value", "-p", name, unit).strip()

    def main_pid(self, unit):
        return int(self.show(unit, "MainPID"))

    def programs(self):
        """{pid: the path that it runs} of Tallymill's processes in it, a replaced one with " (deleted)"."""
        found = self.must("sh", "-c", 'for p in /proc/[0-9]*; do echo "${p#/proc/} $(readlink $p/exe 2>/dev/null)"; done')
        lines = [line.split(" ", 1) for line in found.splitlines()]
        return {int(pid): path for pid, path in lines if "/tallymill" in path}
