"""Fixtures: one stack for the whole run, and for each test a site of its own on it.

While you work on a test, TALLYMILL_TEST_STACK=<state of a running stack> saves the start of one.
The folder of a run is made under TALLYMILL_TEST_DIR, or else the system's temporary folder, and removed again;
whoever kills pytest itself can stop what is left with `deploy/stack reset --state <folder>/stack`.
"""

import os

import pytest

from integration.harness.site import Site
from integration.harness.stack import Stack, own_stack


@pytest.fixture(scope="session")
def stack():
    running = os.environ.get("TALLYMILL_TEST_STACK")
    if running:
        yield Stack(running).attach()
        return
    with own_stack() as started:
        yield started


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
