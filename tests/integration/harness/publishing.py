"""The library in a process of its own (spool_publisher.py), which may be killed and started again.

It notes the id of each event once tally_publish has accepted it. With spool.sync = each that means: it is on the disk, and must become one row.
"""

import pathlib
import sys

from checker.check import read_acknowledged

from .program import BUILDS, ROOT, Program, environment
from .waiting import wait_until

PUBLISHER = ROOT / "tests/integration/harness/spool_publisher.py"
MANY = 10**9


def login_words(stack):
    """How the library comes in, as KEY=VALUE of tally_open, which takes a value as it is: `@FILE` is for settings in a file."""
    for name, value in stack.kafka.items():
        if name != "bootstrap.servers":
            yield f"kafka.{name}={pathlib.Path(value[1:]).read_text().strip() if value.startswith('@') else value}"


class Publishing:
    """The publisher on a site, started again and again; `ids` counts what it had accepted so far."""

    def __init__(self, site, proxy, *settings, build="release"):
        self.site = site
        self.build = build
        self.ids_file = site.folder / "ids"
        self.ids_file.touch()
        self.words = [proxy.bootstrap, site.topic, str(self.ids_file)]
        given = {word.split("=", 1)[0] for word in settings}
        self.settings = [*settings, *(word for word in login_words(site.stack) if word.split("=", 1)[0] not in given)]
        self.starts = 0

    def start(self, count, bug=None, **how):
        self.starts += 1
        library = BUILDS[self.build] / (f"planted/{bug}" if bug else "lib") / "libtallymill.so"
        program = Program([sys.executable, "-B", str(PUBLISHER), str(library), *self.words, str(count), *self.settings],
                          self.site.folder / f"publisher-{self.starts}.log", environment(**how))
        self.site.programs.append(program)
        return program

    def ids(self):
        return self.ids_file.read_bytes().count(b"\n")

    def wait_for_more(self, more, deadline=60):
        reached = self.ids() + more
        wait_until(lambda: self.ids() >= reached, deadline, lambda: f"{reached} accepted events; there are {self.ids()}")

    def acknowledged(self):
        return read_acknowledged(self.ids_file)


def spooled(site, proxy, **how):
    return Publishing(site, proxy, f"spool.dir={site.folder / 'spool'}", "spool.sync=each", **how)
