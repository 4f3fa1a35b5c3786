"""The fixtures of the integration tests, and a browser."""

import json
import shutil
import subprocess

import pytest

from integration.conftest import make_site, stack  # noqa: F401  (pytest finds fixtures by name)
from integration.harness.program import ROOT, environment, with_parent

from .made import generated

HERE = ROOT / "tests" / "browser"


def pytest_addoption(parser):
    parser.addoption("--update-pictures", action="store_true", help="write the three pictures of docs/pictures anew")


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """A function that has Chromium do what a request says (look.mjs), and gives back what it saw."""
    if not shutil.which("chromium"):
        pytest.fail("no chromium: deploy/packages install browser")
    folder = tmp_path_factory.mktemp("driver")
    for name in ("package.json", "package-lock.json", "look.mjs"):
        shutil.copy(HERE / name, folder / name)
    subprocess.run(["npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], check=True, timeout=300)

    def drive(**request):
        done = subprocess.run(with_parent(["node", folder / "look.mjs"]), input=json.dumps(request), capture_output=True, text=True, timeout=570, check=False, env=environment())
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)

    return drive


@pytest.fixture
def full(make_site):  # noqa: F811
    return generated(make_site)
