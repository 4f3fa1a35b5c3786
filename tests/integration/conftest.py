"""Fixtures: one stack for the whole run, and for each test a site of its own on it.

While you work on a test, TALLYMILL_TEST_STACK=<state of a running stack> saves the start of one.
The folder of a run is made under TALLYMILL_TEST_DIR, or else the system's temporary folder, and removed again;
whoever kills pytest itself can stop what is left with `deploy/stack reset --state <folder>/stack`.
"""

import os
import pathlib
import shutil
import tempfile

import pytest

from integration.harness.site import Site
from integration.harness.stack import Stack


@pytest.fixture(scope="session")
def stack():
    running = os.environ.get("TALLYMILL_TEST_STACK")
    if running:
        yield Stack(running).attach()
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)  # the account that Postgres runs under must get through
    try:
        with Stack(folder / "stack") as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_site(stack, tmp_path):
    """A function that makes sites: make_site(build=..., partitions=..., **{"section.key": value})."""
    sites = []

    def make(**how):
        folder = tmp_path / f"site-{len(sites) + 1}"
        folder.mkdir()
        sites.append(Site(stack, folder, **how))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site):
    """A site with a migrated database, 4 topic partitions and the release build."""
    return make_site()
