"""The fixtures of the integration tests, on a stack that asks for passwords over TLS."""

import os
import pathlib
import shutil
import tempfile

import pytest

from integration.conftest import make_site  # noqa: F401  (a fixture)
from integration.harness.secured import Secured
from integration.harness.stack import Stack


@pytest.fixture(scope="session")
def stack():
    running = os.environ.get("TALLYMILL_TEST_STACK")
    if running:
        yield Stack(running).attach()
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-", dir=os.environ.get("TALLYMILL_TEST_DIR")))
    folder.chmod(0o755)
    try:
        with Stack(folder / "stack", secure=True) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def site(make_site):  # noqa: F811
    made = make_site()
    made.secured = Secured(made)
    return made
