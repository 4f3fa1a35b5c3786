"""The fixtures of the integration tests."""

from integration.conftest import make_site, stack  # noqa: F401  (pytest finds fixtures by name)
