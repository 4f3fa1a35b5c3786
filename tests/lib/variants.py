"""Variants of the suite, by name: unit and integration tests once more, on programs that are built otherwise, or on other servers.

    tests/run least-librdkafka     everything, on the least librdkafka that ours runs on (deploy/librdkafka --least)
    tests/run postgres-16          the integration tests on another Postgres (postgres-17, postgres-18), with the programs of the daily run
    tests/run tsan                 unit tests, and the integration tests in which our threads meet, under the thread sanitizer
    tests/run secure               the matrix of secured servers (../secure), and the integration tests on servers with TLS, passwords and ACLs

They take long and find what changes rarely, so they are no part of the daily run. Their builds lie in build-NAME/.
"""

import os

import postgres_servers


class Variant:
    def __init__(self, name, presets, options=None, words=None, build_of=None, postgres=None, own_builds=True, seconds=None, **environment):
        self.name = name
        self.presets = presets              # what is built, of CMakePresets.json
        self.options = options or []        # for CMake, with each
        self.words = words                  # the integration tests, as pytest is told; None: all
        self.build_of = build_of or {}      # the preset that stands in for another one
        self.postgres = postgres            # the major version of the server (postgres_servers.py)
        self.own_builds = own_builds        # else the builds are the daily run's, and their unit tests are not run again
        self.seconds = seconds              # that the integration tests may take; None: those of the daily run
        self.more = environment             # {root} stands for the checkout

    def folder(self, preset):
        if not self.own_builds:
            return {"release": "build"}.get(preset, "build-" + preset)
        return "build-%s/%s" % (self.name, self.build_of.get(preset, preset))

    def environment(self, root):
        """The environment in which it is built and run: the tests find their programs by it (integration/harness/program.py)."""
        made = dict(os.environ, **{name: text.format(root=root) for name, text in self.more.items()})
        for preset in ("release", "asan", "check"):
            made["TALLYMILL_BUILD_" + preset.upper()] = os.path.join(root, self.folder(preset))
        if self.postgres:
            made["TALLYMILL_POSTGRES_BIN"] = postgres_servers.fetch(self.postgres)
        return made


VARIANTS = {variant.name: variant for variant in (
    Variant("least-librdkafka", ("release", "asan", "check"), options=["-DTALLYMILL_LIBRDKAFKA=bundled", "-DTALLYMILL_LIBRDKAFKA_LEAST=ON"]),
    *(Variant("postgres-%d" % major, ("release", "asan", "check"), postgres=major, own_builds=False) for major in postgres_servers.PINS),
    Variant("secure", ("release", "asan", "check"), words=["secure", "integration"], own_builds=False, seconds=7200, TALLYMILL_TEST_SECURE="1"),
    Variant("tsan", ("tsan",),
            # Without those that promise seconds or bytes: a program is ten times slower and larger here. The spool's tests load the library into
            # Python, which the sanitizer does not allow; the program of test_installed_library does what they do.
            words=["integration/test_%s.py" % name for name in
                   ("end_to_end", "workers", "duplicates", "months", "metrics", "aggregator", "rebuild", "produce", "import", "server")]
            + ["integration/test_installed_library.py::test_the_thread_sanitizer_finds_nothing",
               "--deselect=integration/test_workers.py::test_a_frozen_worker_is_replaced_within_two_session_timeouts_and_does_no_harm_when_thawed",
               "--deselect=integration/test_import.py::test_memory_does_not_grow_with_the_file"],
            build_of={"release": "tsan", "asan": "tsan", "check": "tsan"},
            # A test that forks beside threads goes on; exit code 66 is the sanitizer's own.
            TSAN_OPTIONS="suppressions={root}/tests/tsan.supp die_after_fork=0"),
)}
