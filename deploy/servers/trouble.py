"""Trouble: what a person is told when the stack cannot do what was asked.

One exception for every foreseen failure, raised where the evidence is and printed once, in __main__.py. The
exit code is the project's: 1 failed (trying again may help), 2 something must be installed or said differently.
Anything else that reaches the top is our own bug and keeps its traceback.
"""


class Trouble(Exception):
    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


class PortLost(Trouble):
    """Someone else took a port between our look and the server's bind: choose another and try again."""


def tail(path, lines=15, start=0):
    """The last lines of a log from byte `start` on, indented, for the end of an error message."""
    try:
        with open(path, "rb") as log:
            log.seek(0, 2)
            log.seek(max(start, log.tell() - 65536))
            text = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "    (no log at %s)" % path
    return "\n".join("    " + line for line in text[-lines:])
