"""The packages, built once for the run, and a booted Debian to try them in."""

import os
import pathlib

import pytest

from integration.conftest import make_site, stack  # noqa: F401  (fixtures)
from lib import bare

from . import build
from .machine import Machine, missing


@pytest.fixture(scope="session")
def builder(tmp_path_factory):
    """Where packages are built and lintian looks at them: here, or in a Debian of the release that TALLYMILL_SUITE names."""
    if build.SUITE == build.OWN_SUITE:
        yield build.Here()
        return
    why = bare.missing()
    if why:
        pytest.skip(why)
    folder = os.environ.get("TALLYMILL_BUILD_ROOT")  # kept from one run to the next
    yield build.Root(folder or tmp_path_factory.mktemp("build") / "root")


@pytest.fixture(scope="session")
def packages(request, tmp_path_factory):
    """The folder of deploy/package, of this checkout's last commit; or one that was made before (TALLYMILL_PACKAGES)."""
    if "TALLYMILL_PACKAGES" in os.environ:
        return pathlib.Path(os.environ["TALLYMILL_PACKAGES"])
    return request.getfixturevalue("builder").build(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def newer(packages, tmp_path_factory):
    """The same as a version that is newer."""
    return build.as_newer(packages, tmp_path_factory.mktemp("newer"))


@pytest.fixture
def machine(tmp_path):
    """Debian of this machine's release, or of that which TALLYMILL_SUITE names, with systemd, booted; gone at the end."""
    why = missing()
    if why:
        pytest.skip(why)
    folder = os.environ.get("TALLYMILL_MACHINE_ROOT")  # kept from one run to the next while a test is written
    with Machine(folder or str(tmp_path / "root"), keep=bool(folder)) as booted:
        yield booted
