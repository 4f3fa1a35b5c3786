"""The stack and the sites of the integration tests, and a Python with what the distribution does not have."""

import os
import sys

import pytest

from integration.conftest import make_site, pytest_configure, pytest_runtest_setup, site, stack  # noqa: F401  (fixtures and hooks)
from integration.harness.program import environment, run

NEEDED = ("duckdb>=1.2,<3", "sqlglot==30.30.0", "pandas>=2.2,<4")


@pytest.fixture(scope="session", name="python")
def fixture_python(tmp_path_factory):
    """A Python that has them, fetched from the package index; TALLYMILL_ANALYSE_PYTHON names one that is there."""
    if "TALLYMILL_ANALYSE_PYTHON" in os.environ:
        return os.environ["TALLYMILL_ANALYSE_PYTHON"]
    folder = tmp_path_factory.mktemp("duck")
    made = run([sys.executable, "-m", "venv", str(folder)], 120)
    assert made.code == 0, made
    fetched = run([str(folder / "bin/pip"), "-q", "--disable-pip-version-check", "install", *NEEDED], 600, env=environment())
    assert fetched.code == 0, fetched
    return str(folder / "bin/python")
