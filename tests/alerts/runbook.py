"""What an operator does first when an alert fires: the first command of its runbook, as the page says it, but for the settings file and the address."""

import re
import shlex

from integration.harness.monitor import Monitor
from integration.harness.program import ROOT, binary, environment, run

from .prometheus import rule_texts


def page_of(alert):
    return ROOT / re.search(r"runbook: (\S+)", rule_texts()[alert]).group(1)


def first_command(alert):
    """The first line of code below "Look"; a page of several alerts may have one of its own for each (**Look** (`TallymillX`))."""
    text = page_of(alert).read_text()
    own = re.search(rf"\*\*Look\*\* \([^)]*`{alert}`[^)]*\).*?\n\n    (.+)\n", text)
    return (own or re.search(r"\*\*Look\*\*.*?\n\n    (.+)\n", text)).group(1)


def consult(alert, site, program=None, env=None):
    """What that command says. systemd's own commands show what the program wrote, and so does its log here: the lines that the command asks for."""
    line = first_command(alert)
    if line.startswith(("journalctl", "systemctl status")):
        word = re.search(r"grep -i (\w+)", line)
        said = "\n".join(one for one in program.log().splitlines() if not word or word.group(1) in one.lower())
    elif line.startswith("curl"):
        said = run(["sh", "-c", re.sub(r"127\.0\.0\.1:94\d\d", Monitor(program).address, line)]).out
    else:
        words = shlex.split(line.replace("/etc/tallymill/tallymill.ini", str(site.settings)))
        assert words[0].startswith("tallymill"), line
        done = run([binary(words[0]), *words[1:]], 120, env=env or environment())
        said = done.out + done.err
    print(f"\n== {alert}: {line}\n{said[-1500:]}")
    return said


def must_show(cause, alert, site, **how):
    said = consult(alert, site, **how)
    assert re.search(cause, said, re.DOTALL), f"{alert}: {first_command(alert)} does not show {cause!r}:\n{said}"
