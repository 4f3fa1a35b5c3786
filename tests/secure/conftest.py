"""The fixtures of the integration tests, on a stack that asks for passwords over TLS."""

import os

import pytest

from integration.conftest import make_site  # noqa: F401  (a fixture)
from integration.harness.secured import Secured
from integration.harness.stack import Stack, own_stack


@pytest.fixture(scope="session")
def stack():
    running = os.environ.get("TALLYMILL_TEST_STACK")
    if running:
        yield Stack(running).attach()
        return
    with own_stack(secure=True) as started:
        yield started


@pytest.fixture
def site(make_site):  # noqa: F811
    made = make_site()
    made.secured = Secured(made)
    return made
