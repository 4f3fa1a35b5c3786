"""Programs started as a careless parent starts them, with descriptors 0, 1 or 2 closed."""

import os
import signal
import subprocess

import pytest

from .harness.program import environment


def start(site, closed, program, *words):
    """A program whose standard descriptors in `closed` are closed, and the others are open on a file."""
    def close():
        for number in closed:
            os.close(number)
    with open(site.folder / f"{program}.out", "wb") as out:
        return subprocess.Popen(site.command(program, *words), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(), preexec_fn=close)


def assert_null(process, closed):
    for number in closed:
        assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"


@pytest.mark.parametrize("closed", [(0, 1, 2), (2,)])
def test_a_program_started_without_standard_descriptors_keeps_them_free_of_its_own(make_site, closed):
    site = make_site(partitions=1)
    made = start(site, closed, "tallymill-produce", "--generate", "300")
    assert made.wait(60) == 0
    services = [start(site, closed, "tallymill-consumer"), start(site, closed, "tallymill-aggregator")]
    try:
        site.wait_until_drained()
        site.wait_until_folded()
        for service in services:
            assert_null(service, closed)
            service.send_signal(signal.SIGTERM)
        assert [service.wait(30) for service in services] == [0, 0]
    finally:
        for service in services:
            service.kill()
            service.wait()
    for command in ("status", "audit", "verify", "migrate"):
        assert start(site, closed, "tallymill", command).wait(60) == 0
    assert site.outcomes()[0] == 300
