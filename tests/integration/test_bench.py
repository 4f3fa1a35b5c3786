"""The benches themselves: each says what it measures, and builds what it needs, whoever made the build before (the demo leaves the tests out)."""

import sys

import pytest

from .harness.program import ROOT, environment, run

RUN = [sys.executable, "-B", str(ROOT / "tests/bench/run")]


def names():
    return run([*RUN, "--help"]).out.rpartition("Benches: ")[2].strip().split(", ")


@pytest.mark.parametrize("name", names())
def test_a_bench_tells_its_options(name):
    done = run([*RUN, name, "--help"])
    assert done.code == 0 and "usage" in done.out, done


def test_a_name_that_is_none_is_refused_with_those_there_are():
    refused = run([*RUN, "no-such-bench"])
    assert refused.code == 2 and "publish" in refused.err and "transcode" in refused.err, refused


def test_a_build_without_the_tests_can_build_the_drivers(tmp_path):
    configured = run(["cmake", "--preset", "release", "-S", str(ROOT), "-B", str(tmp_path), "-DTALLYMILL_TESTS=OFF"], 300)
    assert configured.code == 0, configured
    known = run(["ninja", "-C", str(tmp_path), "-t", "targets", "all"]).out
    assert "\npublish-driver: phony" in known and "\ntranscode-driver: phony" in known, known[-3000:]
    demo = run(["ninja", "-C", str(tmp_path), "-t", "query", "all"]).out
    assert "operator/all" in demo and "tests/" not in demo, "the demo builds what it needs and no more"


def test_a_module_that_python_does_not_have_is_named_with_what_installs_it(tmp_path):
    (tmp_path / "psycopg2.py").write_text("raise ModuleNotFoundError(name='psycopg2')")
    done = run([*RUN, "drain"], env=environment(PYTHONPATH=str(tmp_path)))
    assert done.code == 2 and "psycopg2" in done.err and "deploy/packages" in done.err and "Traceback" not in done.err, done
