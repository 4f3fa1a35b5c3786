"""The stack and the sites of the integration tests."""

from integration.conftest import make_site, pytest_configure, pytest_runtest_setup, site, stack  # noqa: F401  (fixtures and hooks)
