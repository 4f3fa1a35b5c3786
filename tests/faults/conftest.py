"""The fixtures of the integration tests, and the options of the long run: `tests/run faults -- --rows 1,2 --minutes 10`."""

from faults.matrix import add_options
from integration.conftest import make_site, site, stack  # noqa: F401  (pytest finds fixtures by name)


def pytest_addoption(parser):
    add_options(parser.getgroup("faults").addoption)
