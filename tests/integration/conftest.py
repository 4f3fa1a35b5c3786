"""Fixtures: one stack for the whole run, and for each test a site of its own on it.

While you work on a test, TALLYMILL_TEST_STACK=<state of a running stack> saves the start of one.
The folder of a run is made under TALLYMILL_TEST_DIR, or else the system's temporary folder, and removed again;
whoever kills pytest itself can stop what is left with `deploy/stack reset --state <folder>/stack`.

With TALLYMILL_TEST_SECURE every stack is a secured one (`tests/run secure`): our programs come by SCRAM and passwords over TLS, the tests' own
clients by certificate. What cannot be tried so is marked `plain_servers("why")`, and skipped with that reason.
"""

import os

import pytest

from integration.harness.old_table import Application
from integration.harness.site import Site
from integration.harness.stack import IS_SECURE, Stack, own_stack


# Files go to processes whole: one of these begun last would run on alone for minutes. The longest first.
LONG_FILES = [f"test_{name}" for name in (
    "workers", "adopt", "adopt_undo", "aggregator", "rollups", "rollup_failures", "erase_archives", "archive", "dashboard", "dashboard_doors", "matrix", "topic_identity", "operator", "spool", "kept_out",
    "doctor", "forgotten_locks", "deltas", "hand_made_months", "random_statistics", "statistics", "planted_bugs", "hostile_databases", "stack", "readiness")]


def pytest_collection_modifyitems(items):
    order = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_servers(why): not tried on servers with TLS and passwords")


def pytest_runtest_setup(item):
    mark = item.get_closest_marker("plain_servers")
    if mark and IS_SECURE:
        pytest.skip(mark.args[0])


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


@pytest.fixture(name="old")
def fixture_old(make_site):
    """make(rows, **how): a site without our schema, with an application's old table."""
    made = []

    def make(rows, **how):
        site = make_site(migrate=False, **how)
        made.append(Application(site, rows))
        return site, made[-1]

    yield make
    for one in made:
        for program in one.site.programs:  # a stopped one holds locks
            program.kill()
        one.close()
