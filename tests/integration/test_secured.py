"""Servers that ask who comes, in short: the whole matrix is tests/secure (`tests/run secure`)."""

import os
import pathlib
import shutil
import tempfile

import pytest

from .harness.secured import PRODUCER, WORKER, Secured
from .harness.site import Site
from .harness.stack import Stack


@pytest.fixture(name="site")
def _site(tmp_path):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)  # the account that Postgres runs under must get through
    try:
        with Stack(folder / "stack", secure=True) as stack:
            made = Site(stack, tmp_path)
            made.secured = Secured(made)
            yield made
            made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_logins_with_exactly_their_rights_work_and_those_with_less_are_told_what_is_missing(site):
    worker, producer = site.secured.login("worker", WORKER), site.secured.login("producer", PRODUCER)
    for login, program, words, named in (
            (worker, "tallymill-produce", ("--generate", "5"), "--operation Write --topic"),
            (producer, "tallymill-consumer", ("--check",), "--operation Read --topic")):
        refused = site.run(program, *words, *login.words)
        assert refused.code == 2 and named in refused.err and login.name in refused.err, refused
    worker.tell("not the password")
    refused = site.run("tallymill-consumer", "--until-end", *worker.words)
    assert refused.code == 2 and "kafka.sasl.password" in refused.err and "not the password" not in refused.err, refused
    worker.tell("a good one")
    assert sum(site.end_offsets().values()) == 0 and site.outcomes() == (0, 0, 0, 0)
    assert site.produce("--generate", "200", *producer.words).code == 0
    site.must("tallymill-consumer", "--until-end", *worker.words)
    assert site.outcomes() == (200, 0, 0, 0)
