"""The fixtures of the integration tests: a stack of the run's own, and sites on it."""

from integration.conftest import make_site, site, stack  # noqa: F401  (pytest finds fixtures by name)
